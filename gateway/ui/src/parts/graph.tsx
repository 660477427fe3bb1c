// A drawing of boxes and lines; the boxes are given as items of its list, which stand where `place` says.

import type { ComponentChildren } from "preact";
import { BOX_HEIGHT, type Box, type Drawing } from "@ui/lib/layout";

interface Props {
  label: string;
  drawing: Drawing;
  /** Whether the line at this place is dashed. */
  dashed?: (at: number) => boolean;
  children: ComponentChildren;
}

export function GraphCanvas({ label, drawing: { lines, width, height }, dashed, children }: Props) {
  return (
    <div class="graph" role="group" aria-label={label} tabIndex={0}>
      <div class="canvas" style={{ width: `${width}px`, height: `${height}px` }}>
        <svg width={width} height={height} aria-hidden="true">
          <defs>
            <marker
              id="graph-arrow"
              viewBox="0 0 8 8"
              refX="7.5"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto"
            >
              <path d="M0 0.5L8 4L0 7.5Z" />
            </marker>
          </defs>
          {lines.map(({ path }, at) => (
            <path key={at} class={dashed?.(at) ? "line dashed" : "line"} d={path} />
          ))}
          {lines.map(
            ({ label: text, x, y }, at) =>
              text && (
                <text key={at} x={x} y={y + 4}>
                  {text}
                </text>
              ),
          )}
        </svg>
        <ul>{children}</ul>
      </div>
    </div>
  );
}

export const place = ({ x, y, width }: Box) => ({
  left: `${x}px`,
  top: `${y}px`,
  width: `${width}px`,
  height: `${BOX_HEIGHT}px`,
});
