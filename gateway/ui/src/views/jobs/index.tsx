import { JobPage } from "@ui/views/jobs/detail";
import { JobList } from "@ui/views/jobs/list";

export function JobsView({ rest, query }: { rest: string; query: URLSearchParams }) {
  return rest ? <JobPage id={rest} key={rest} /> : <JobList query={query} />;
}
