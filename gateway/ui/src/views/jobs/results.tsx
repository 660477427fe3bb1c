// What the subtasks of a job gave back or why they failed, a page at a time, by index.

import { useEffect, useRef, useState } from "preact/hooks";
import { listSubtasks, type Job, type Subtask } from "@ui/api/jobs";
import { bytes, count, num, plain } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { href } from "@ui/lib/router";
import { base64Size } from "@ui/lib/words";
import { Badge, Button, Failure, Loading, Panel } from "@ui/parts/basics";
import { Segments } from "@ui/parts/segments";
import { Table, type Column } from "@ui/parts/table";
import { isFinal } from "@ui/views/jobs/names";

const PAGE = 20;
const EVERY_MS = 2_000;
// Of a value; its page has all of it.
const SHOWN = 300;
const FILTERS = [
  { value: "", label: "All" },
  { value: "SUCCEEDED", label: "Succeeded" },
  { value: "FAILED,CANCELLED", label: "Failed" },
  { value: "PENDING,RUNNING", label: "Not yet" },
] as const;
type Filter = (typeof FILTERS)[number]["value"];

/** Where a page begins: at a position, or at the token of the page before. */
interface Begin {
  position?: number;
  token?: string;
}

export function Results({ job }: { job: Job }) {
  const [filter, setFilter] = useState<Filter>("");
  // The pages that were turned over, and the one in sight.
  const [begins, setBegins] = useState<readonly Begin[]>([{}]);
  const final = useRef(false);
  final.current = isFinal(job);
  const at = begins[begins.length - 1]!;
  const states = filter ? filter.split(",").map((state) => `SUBTASK_STATE_${state}`) : undefined;
  const { value, failure, refresh } = usePolled(
    async (signal) => {
      const last = final.current;
      const page = { states, pageSize: PAGE, firstPosition: at.position, pageToken: at.token };
      return { ...(await listSubtasks(job.id, page, { signal })), last };
    },
    EVERY_MS,
    `${job.id} ${filter} ${at.position ?? 0} ${at.token ?? ""}`,
    ({ last }) => last,
  );
  // Finished, or run again: once more.
  useEffect(() => {
    if (value) refresh();
  }, [isFinal(job), job.round]);
  const all = num(job.count);
  if (!all) return null;
  const first = num(job.spec?.firstIndex);
  const step = num(job.spec?.indexStep) || 1;
  const shown = value?.subtasks ?? [];
  const token = value?.nextPageToken;
  return (
    <Panel title="Results" class="flush results">
      <div class="row pages">
        <Segments
          label="Which subtasks"
          options={FILTERS}
          value={filter}
          onChange={(chosen) => {
            setFilter(chosen);
            setBegins([{}]);
          }}
        />
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault();
            const index = Number(new FormData(event.currentTarget).get("from"));
            setBegins([{}, { position: Math.max(0, Math.ceil((index - first) / step)) }]);
          }}
        >
          <label class="row">
            From index
            <input
              name="from"
              type="number"
              min={first}
              max={first + step * (all - 1)}
              placeholder={String(first)}
              required
            />
          </label>
          <Button type="submit">Go</Button>
        </form>
      </div>
      {failure && <Failure message={failure} />}
      {!value && !failure && <Loading />}
      {value && !shown.length && <p class="muted note">{token ? "None on this page." : "None."}</p>}
      {shown.length > 0 && (
        <Table label="Results" columns={columns} items={shown} keyOf={(one) => String(num(one.index))} />
      )}
      {(token || begins.length > 1) && (
        <div class="row pages">
          <Button disabled={begins.length < 2} onClick={() => setBegins(begins.slice(0, -1))}>
            Previous
          </Button>
          <Button disabled={!token} onClick={() => token && setBegins([...begins, { token }])}>
            Next
          </Button>
          {shown.length > 0 && (
            <span class="muted">
              Indexes {count(shown[0]!.index)} to {count(shown[shown.length - 1]!.index)}
            </span>
          )}
        </div>
      )}
    </Panel>
  );
}

const columns: readonly Column<Subtask>[] = [
  {
    name: "Index",
    right: true,
    cell: ({ id, index }) => <a href={href("tasks", id)}>{num(index)}</a>,
  },
  {
    name: "State",
    cell: ({ state }) => {
      const name = plain(state, "SUBTASK_STATE_");
      return <Badge tone={name}>{name}</Badge>;
    },
  },
  { name: "Result", wide: true, message: true, cell: (one) => <Outcome subtask={one} /> },
  { name: "Node", minor: true, cell: ({ node }) => node ?? "" },
];

function Outcome({ subtask: { state, result, error, attempt = 0 } }: { subtask: Subtask }) {
  switch (state) {
    case "SUBTASK_STATE_SUCCEEDED":
      return result?.json !== undefined ? (
        <span class="mono">{cut(result.json)}</span>
      ) : (
        <span class="muted">
          {result?.pickle !== undefined ? `a pickle of ${bytes(base64Size(result.pickle))}` : "no value"}
        </span>
      );
    case "SUBTASK_STATE_FAILED":
      return (
        <>
          <span class="error-type">{error?.type}</span> {cut(error?.message ?? "")}
        </>
      );
    case "SUBTASK_STATE_CANCELLED":
      return null;
    default:
      return <span class="muted">{attempt > 1 ? `not yet, attempt ${attempt}` : "not yet"}</span>;
  }
}

const cut = (text: string): string => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
