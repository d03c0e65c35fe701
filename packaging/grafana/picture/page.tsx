// Draws the dashboard's panels from their JSON and their data, with Grafana's own components.

import {
  createDataFrame, createTheme, dateTime, EventBusSrv, FieldType, getDisplayProcessor, ThemeContext, VizOrientation,
  type DataFrame, type DisplayValue, type FieldConfig,
} from "@grafana/data";
import { BigValue, GlobalStyles, PanelChrome, PanelContextProvider, TimeSeries, VizRepeater } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import input from "picture-data";
import "uplot/dist/uPlot.min.css";

const WIDTH = 1400;
const COLUMN = WIDTH / 24;
const CELL = 30;
const GAP = 8;
const theme = createTheme({ colors: { mode: "light" } });

type Matcher = { matcher: { id: string; options: string }; properties: { id: string; value: unknown }[] };

/** The name that `legendFormat` gives a series. */
function named(format: string, labels: Record<string, string>): string {
  return format.replaceAll(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? "").replaceAll(/ +/g, " ").trim();
}

/** The defaults of the panel, then the overrides that match the name. */
function configOf(panel: any, name: string): FieldConfig {
  const config = structuredClone(panel.fieldConfig.defaults);
  config.color ??= { mode: panel.type === "stat" ? "thresholds" : "palette-classic" };
  config.thresholds ??= { mode: "absolute", steps: [{ color: "green", value: -Infinity }] };
  config.thresholds.steps[0].value = -Infinity;
  for (const { matcher, properties } of panel.fieldConfig.overrides as Matcher[]) {
    if (matcher.id !== "byRegexp") {
      throw new Error(`${panel.title}: this page knows no matcher ${matcher.id}`);
    }
    if (new RegExp(matcher.options.slice(1, -1)).test(name)) {
      for (const { id, value } of properties) {
        if (id.startsWith("custom.")) {
          config.custom[id.slice("custom.".length)] = value;
        } else {
          config[id] = value;
        }
      }
    }
  }
  return config;
}

/** A frame for each series, with a null where Prometheus has no sample. */
function framesOf(panel: any): DataFrame[] {
  const frames: DataFrame[] = [];
  panel.targets.forEach((target: any, index: number) => {
    const { first, last, step, series } = input.data[panel.id][index];
    for (const { metric, values } of series) {
      const found = new Map(values.map(([time, value]: [number, string]) => [time, Number(value)]));
      const times: number[] = [];
      for (let time = first; time <= last; time += step) {
        times.push(time);
      }
      const name = named(target.legendFormat, metric);
      const frame = createDataFrame({
        refId: target.refId,
        fields: [
          { name: "Time", type: FieldType.time, values: times.map((time) => time * 1000) },
          {
            name, type: FieldType.number, config: configOf(panel, name),
            values: times.map((time) => found.get(time) ?? null),
          },
        ],
      });
      const field = frame.fields[1];
      field.state = { displayName: name, seriesIndex: frames.length };
      field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
      frame.fields[0].display = getDisplayProcessor({ field: frame.fields[0], theme, timeZone: "utc" });
      frames.push(frame);
    }
  });
  return frames;
}

function Stat({ panel, width, height }: { panel: any; width: number; height: number }) {
  const values: DisplayValue[] = framesOf(panel).map((frame) => {
    const field = frame.fields[1];
    const last = field.values.filter((value: number | null) => value !== null).at(-1);
    return { ...field.display!(last), title: field.name };
  });
  const { orientation, textMode, colorMode, graphMode, justifyMode, text } = panel.options;
  return (
    <VizRepeater
      source={values} getValues={() => values} renderCounter={0} width={width} height={height}
      orientation={orientation as VizOrientation} itemSpacing={3}
      renderValue={({ value, width, height, count }) => (
        <BigValue
          value={value} width={width} height={height} count={count} theme={theme}
          textMode={textMode} colorMode={colorMode} graphMode={graphMode} justifyMode={justifyMode} text={text}
        />
      )}
    />
  );
}

function Lines({ panel, width, height }: { panel: any; width: number; height: number }) {
  const from = dateTime(input.start * 1000);
  const to = dateTime(input.end * 1000);
  return (
    <TimeSeries
      frames={framesOf(panel)} width={width} height={height} timeZone="utc"
      timeRange={{ from, to, raw: { from, to } }} legend={panel.options.legend}
    />
  );
}

const KINDS: Record<string, typeof Stat> = { stat: Stat, timeseries: Lines };

function Panel({ panel }: { panel: any }) {
  const { x, y, w, h } = panel.gridPos;
  const Kind = KINDS[panel.type];
  if (!Kind) {
    throw new Error(`${panel.title}: this page draws no ${panel.type}`);
  }
  const place = { left: x * COLUMN + GAP / 2, top: y * CELL + GAP / 2, position: "absolute" as const };
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={w * COLUMN - GAP} height={h * CELL - GAP}>
        {(width, height) => <Kind panel={panel} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

const context = { eventsScope: "global", eventBus: new EventBusSrv() };
createRoot(document.getElementById("page")!).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <PanelContextProvider value={context}>
      {input.dashboard.panels.map((panel: any) => <Panel key={panel.id} panel={panel} />)}
    </PanelContextProvider>
  </ThemeContext.Provider>,
);
