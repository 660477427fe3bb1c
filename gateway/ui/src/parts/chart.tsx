// A live line chart (uPlot) of columns of the history, and a sparkline.
//
// The legend is ours: it shows the latest values, or those under the cursor, which all charts of a
// page share. Colours come from the style sheet; a change of theme draws the chart anew.

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { beats, history } from "@ui/api/store";
import { themeVersion } from "@ui/app/theme";

export interface Line {
  column: string;
  label: string;
  /** Name of a CSS variable. */
  colour: string;
  fill?: boolean;
}

interface ChartProps {
  title: string;
  lines: Line[];
  /** A value for the legend and the axis. */
  format: (value: number) => string;
  /** The axis reaches at least this far. */
  least?: number;
  height?: number;
}

/** Seconds that charts show. */
export const chartSpan = signal(300);
const LEAST_SPAN = 60;

const sync = uPlot.sync("charts");

function variable(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A colour of the style sheet (#rrggbb) with some opacity. */
function faded(colour: string, share: number): string {
  return `${colour}${Math.round(share * 255)
    .toString(16)
    .padStart(2, "0")}`;
}

export function timeRange(times: readonly number[], chosen: number): [number, number] {
  const last = times.at(-1) ?? Date.now() / 1000;
  const first = times[0] ?? last;
  return [last - Math.min(chosen, Math.max(LEAST_SPAN, last - first)), last];
}

export function Chart({ title, lines, format, least = 1, height = 152 }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = lines.map((line) => `${line.column}:${line.colour}`).join();
  const theme = themeVersion.value;

  useEffect(() => {
    const element = holder.current!;
    const made = new uPlot(
      options(lines, format, least, [element.clientWidth, height], (values) => {
        legend.current?.querySelectorAll("b").forEach((cell, at) => {
          const value = values[at];
          cell.textContent = value === null || value === undefined ? "–" : format(value);
        });
      }),
      data(lines),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth) made.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, theme, height]);

  const beat = beats.value;
  const span = chartSpan.value;
  useEffect(() => {
    plot.current?.setData(data(lines));
  }, [beat, span]);

  return (
    <figure class="chart" aria-label={title}>
      <figcaption>
        <h2>{title}</h2>
        <ul ref={legend}>
          {lines.map((line) => (
            <li key={line.column}>
              <i style={{ background: `var(${line.colour})` }} />
              <span>{line.label}</span>
              <b>–</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={holder} class="plot" style={{ height: `${height}px` }} />
    </figure>
  );
}

function data(lines: readonly Line[]): uPlot.AlignedData {
  return [history.times, ...lines.map((line) => history.column(line.column))];
}

function options(
  lines: readonly Line[],
  format: (value: number) => string,
  least: number,
  [width, height]: [number, number],
  onValues: (values: (number | null | undefined)[]) => void,
): uPlot.Options {
  const axis = {
    stroke: variable("--muted"),
    font: `11px ${variable("--font")}`,
    ticks: { show: false },
  };
  const grid = { stroke: variable("--grid"), width: 1 };
  const show = (plot: uPlot) => {
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    onValues(lines.map((_, line) => plot.data[line + 1]?.[at]));
  };
  return {
    width,
    height,
    legend: { show: false },
    // To the right: half of the last time below the axis.
    padding: [10, 26, 0, 0],
    cursor: {
      sync: { key: sync.key, setSeries: false },
      drag: { x: false, y: false },
      points: { size: 6 },
      y: false,
    },
    scales: {
      x: { range: () => timeRange(history.times, chartSpan.value) },
      y: { range: (_, __, most) => [0, Math.max(least, (most ?? 0) * 1.12)] },
    },
    axes: [
      // Its gap keeps the first time clear of the zero beside it.
      { ...axis, grid: { show: false }, space: 70, size: 30, gap: 9, values: (_, at) => at.map(tick) },
      {
        ...axis,
        grid,
        size: 46,
        space: 34,
        gap: 6,
        values: (_, at) => at.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line) => {
        const colour = variable(line.colour);
        return {
          label: line.label,
          stroke: colour,
          width: 1.6,
          fill: line.fill ? faded(colour, 0.1) : undefined,
          points: { show: false },
        };
      }),
    ],
    hooks: { setCursor: [show], setData: [show], ready: [show] },
  };
}

function tick(seconds: number): string {
  const date = new Date(seconds * 1000);
  const pad = (value: number) => String(value).padStart(2, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

interface SparkProps {
  column: string;
  colour?: string;
  width?: number;
  height?: number;
  /** Seconds. */
  seconds?: number;
  /** What the top stands for, at least. */
  least?: number;
}

/** The last minutes of one column, without axes. Decoration beside a number. */
export function Spark(props: SparkProps) {
  const { column, colour = "--accent", width = 96, height = 24, seconds = 120, least = 1 } = props;
  const beat = beats.value;
  const path = useMemo(() => {
    const [first, last] = timeRange(history.times, seconds);
    const from = Math.max(0, history.times.findIndex((at) => at >= first));
    return sparkPath(
      history.times.slice(from).map((at) => (at - first) / (last - first)),
      history.column(column).slice(from),
      [width, height],
      least,
    );
  }, [beat, column, width, height]);
  return (
    <svg
      class="spark"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      style={{ color: `var(${colour})` }}
    >
      <path class="area" d={path.area} />
      <path class="line" d={path.line} />
    </svg>
  );
}

/** `xs` from 0 to 1. */
export function sparkPath(
  xs: readonly number[],
  values: readonly (number | null)[],
  [width, height]: [number, number],
  least: number,
): { line: string; area: string } {
  const most = Math.max(least, ...values.map((value) => value ?? 0));
  const points: string[] = [];
  xs.forEach((x, at) => {
    const value = values[at];
    if (value === null || value === undefined) return;
    points.push(`${(x * width).toFixed(1)} ${(height - 1 - (value / most) * (height - 3)).toFixed(1)}`);
  });
  if (points.length < 2) return { line: "", area: "" };
  const line = `M${points.join("L")}`;
  const [first, last] = [points[0]!.split(" ")[0], points.at(-1)!.split(" ")[0]];
  return { line, area: `${line}L${last} ${height}L${first} ${height}Z` };
}
