// Asks Prometheus for the data of each panel, and writes the dashboard and the data for page.tsx.
// Usage: node query.mjs DASHBOARD OUTPUT. Prometheus listens in the namespace rwda-r (lab.sh).

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const SCRAPE_SECONDS = 5;
const RANGE_SECONDS = 8.5 * 60;
const API = "http://127.0.0.1:9090/api/v1";

const [source, output] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(source, "utf8"));
const end = Math.floor(Date.now() / 1000 / SCRAPE_SECONDS) * SCRAPE_SECONDS;
const start = end - RANGE_SECONDS;

/** The step of a query: a scrape, or its own minimum in minutes. */
function stepOf({ interval }) {
  return interval ? Number(interval.replace(/m$/, "")) * 60 : SCRAPE_SECONDS;
}

/** The query as Grafana sends it: every variable at "All", and four scrapes in each rate. */
function substituted(expr, step) {
  return expr
    .replaceAll("$__interval", `${step}s`)
    .replaceAll("$__rate_interval", `${4 * SCRAPE_SECONDS}s`)
    .replaceAll(/\$(instance|interface|peer)\b/g, ".*");
}

/** The series of a query, with the times of its steps: multiples of the step, as in Grafana. */
function asked(target) {
  const step = stepOf(target);
  const expr = substituted(target.expr, step);
  const [first, last] = [start, end].map((time) => Math.floor(time / step) * step);
  const form = { query: expr, start: first, end: last, step };
  const fields = Object.entries(form).flatMap(([key, value]) => ["--data-urlencode", `${key}=${value}`]);
  const curl = ["netns", "exec", "rwda-r", "curl", "--silent", "--show-error", ...fields, `${API}/query_range`];
  const answer = JSON.parse(execFileSync("ip", curl, { encoding: "utf8", maxBuffer: 1 << 28 }));
  if (answer.status !== "success") {
    throw new Error(`Prometheus refused ${expr}: ${answer.error}`);
  }
  return { first, last, step, series: answer.data.result };
}

const data = {};
for (const panel of dashboard.panels) {
  data[panel.id] = panel.targets.map(asked);
  const count = data[panel.id].flatMap(({ series }) => series).length;
  console.log(`${panel.title}: ${count} series`);
  if (count === 0) {
    throw new Error(`the panel "${panel.title}" is empty: its query finds no series in the lab`);
  }
}
writeFileSync(output, JSON.stringify({ dashboard, data, start, end }));
