// Icons on a 16 x 16 grid, drawn with the text's colour. Decoration: their buttons carry the names.

const PATHS = {
  overview: "M2.5 9.5h3l1.5-5 2.5 8 1.5-4.5h2.5",
  queues: "M2.5 4h11M2.5 8h11M2.5 12h7",
  tasks: "M2.5 4.2l1.2 1.2 2-2.2M8 4.3h5.5M2.5 8.2l1.2 1.2 2-2.2M8 8.3h5.5M2.5 12.2l1.2 1.2 2-2.2M8 12.3h5.5",
  dead: "M2.5 4h11v8.5h-11zM2.5 4.5L8 8.8l5.5-4.3",
  jobs: "M2.5 2.5h3v3h-3zM6.5 2.5h3v3h-3zM10.5 2.5h3v3h-3zM2.5 6.5h3v3h-3zM6.5 6.5h3v3h-3zM10.5 6.5h3v3h-3zM2.5 10.5h3v3h-3zM6.5 10.5h3v3h-3z",
  move: "M2.5 8h7.2M7 5.2L9.8 8 7 10.8M13 3v10",
  messages: "M2.5 3.5h11v7h-6l-3 2.8v-2.8h-2zM5 6h6M5 8.2h4",
  nodes: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  services: "M8 2.2l5 2.9v5.8l-5 2.9-5-2.9V5.1zM3 5.1l5 2.9 5-2.9M8 8v5.8",
  schedules: "M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.5v3M10.5 2.5v3M8 9v2l1.4 .9",
  quotas: "M2.5 12a5.5 5.5 0 1 1 11 0M8 12l2.8-4.2M2.5 12h1.2M12.3 12h1.2",
  limits: "M2.5 3.5h11M2.5 12.5h11M8 3.5v9M5.8 6L8 3.8 10.2 6M5.8 10L8 12.2l2.2-2.2",
  audit: "M3.5 2.5h9v11h-9zM6 5.5h4M6 8h4M6 10.5h2",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2",
  plus: "M8 3v10M3 8h10",
  close: "M4 4l8 8M12 4l-8 8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2l7.5 4.8L5 12.8z",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.6h-2.6",
  history: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v2.6h2.6M8 5.2v3l2 1.2",
  cancel: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM4.2 4.2l7.6 7.6",
  edit: "M3 13l.6-2.9 6.9-6.9 2.3 2.3-6.9 6.9z",
  trash: "M3 4.5h10M6.5 4.5V3h3v1.5M4.3 4.5l.6 8.5h6.2l.6-8.5M6.8 7v3.5M9.2 7v3.5",
  clock: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM8 5v3.2l2.2 1.5",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  check: "M3 8.5l3.2 3.2L13 5",
  sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13 9.6A5.5 5.5 0 1 1 6.4 3a4.4 4.4 0 0 0 6.6 6.6z",
  system: "M2.5 3h11v7.5h-11zM6 13.2h4M8 10.5v2.7",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  keyboard: "M1.8 4.2h12.4v7.6H1.8zM4.2 6.6h.01M6.8 6.6h.01M9.3 6.6h.01M11.8 6.6h.01M5 9.4h6",
  chevron: "M6 3.5L10.5 8 6 12.5",
  back: "M9.5 3.5L5 8l4.5 4.5",
  open: "M9 3h4v4M13 3L7.5 8.5M11.5 9.5V13H3V4.5h3.5",
  warning: "M8 2.5l6 10.5H2zM8 6.5v3M8 11.2h.01",
  scale: "M3 13V9.5M6.3 13V7M9.7 13V4.5M13 13V2.5",
  drain: "M2.5 3h11v4h-11zM5 5h.01M8 9v4.5M5.6 11.2L8 13.6l2.4-2.4",
  purge: "M3 13.5h10M5 13.5L2.8 9.6 8.6 3l4.6 4-5.6 6.5M5.7 6.3l4.6 4",
  send: "M2.5 8L13.5 2.8 10.8 13.2 7.6 9.3zM7.6 9.3l5.9-6.5",
  lock: "M4 7.2h8v6H4zM5.8 7.2V5.3a2.2 2.2 0 0 1 4.4 0v1.9",
  wrap: "M2.5 4h11M2.5 8h8.2a2 2 0 0 1 0 4H8M9.6 10.4L8 12l1.6 1.6M2.5 12h2.5",
  save: "M8 2.5v6.5M5 6.3L8 9.3l3-3M2.8 10.5v3h10.4v-3",
  follow: "M4 4l4 4 4-4M4 8.5l4 4 4-4",
  docs: "M4 2.5h5.5L12 5v8.5H4zM9.3 2.6V5.2H12M6 8h4M6 10.5h4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
