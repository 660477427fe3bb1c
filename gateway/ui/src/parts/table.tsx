// A table of entities: sorted by name, cards on a phone. Cells carry their column's name for that.

import type { ComponentChildren } from "preact";

export interface Column<T> {
  name: string;
  /** To the right, as numbers are. */
  right?: boolean;
  /** Its name: takes what width is left. */
  wide?: boolean;
  /** Left out between a phone's width and a desk's: where rows are not cards and room is short. */
  minor?: boolean;
  /** A sentence: may have several lines. */
  message?: boolean;
  cell: (item: T) => ComponentChildren;
}

interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  items: readonly T[];
  keyOf: (item: T) => string;
  /** Shown below the row. */
  below?: (item: T) => ComponentChildren;
}

export function Table<T>({ label, columns, items, keyOf, below }: TableProps<T>) {
  return (
    <div class="scroll-x">
      <table class="table cards" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} class={classes(column)} scope="col">
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        {items.map((item) => {
          const more = below?.(item);
          return (
            <tbody key={keyOf(item)} data-name={keyOf(item)}>
              <tr>
                {columns.map((column) => (
                  <td key={column.name} class={classes(column)} data-label={column.name}>
                    {column.cell(item)}
                  </td>
                ))}
              </tr>
              {more && (
                <tr class="below">
                  <td colSpan={columns.length}>{more}</td>
                </tr>
              )}
            </tbody>
          );
        })}
      </table>
    </div>
  );
}

function classes<T>({ name, right, wide, minor, message }: Column<T>): string {
  return [
    right && "right",
    wide && "wide",
    minor && "minor",
    message && "message",
    name === "Actions" && "held",
  ]
    .filter(Boolean)
    .join(" ");
}
