// The types with which draw.sh checks the dashboard. Grafana's schema leaves a panel's options and queries open.

import type { Dashboard, FieldConfig, FieldConfigSource, GraphFieldConfig, Panel } from "@grafana/schema";

/** JSON has texts in the place of enumerators. */
type Json<T> = T extends string ? string : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Defaults = Omit<FieldConfig, "custom"> & { custom?: GraphFieldConfig };
type Fields = Omit<FieldConfigSource, "defaults"> & { defaults: Defaults };

export type DashboardJson = Json<
  Omit<Dashboard, "panels"> & { panels: (Omit<Panel, "fieldConfig"> & { fieldConfig: Fields })[] }
>;
