// The dashboard's views. A new one is a folder below `views/` and one line here: it gets its link
// in the navigation, its `g` + letter, and everything behind `#/<id>` in the address.

import type { ComponentType } from "preact";
import type { IconName } from "@ui/parts/icons";
import { AuditView } from "@ui/views/audit";
import { DeadView } from "@ui/views/dead";
import { JobsView } from "@ui/views/jobs";
import { LimitsView } from "@ui/views/limits";
import { MessagesView } from "@ui/views/messages";
import { NodesView } from "@ui/views/nodes";
import { OverviewView } from "@ui/views/overview";
import { QueuesView } from "@ui/views/queues";
import { QuotasView } from "@ui/views/quotas";
import { SchedulesView } from "@ui/views/schedules";
import { ServicesView } from "@ui/views/services";
import { TasksView } from "@ui/views/tasks";

export interface View {
  /** The first segment of its address. */
  id: string;
  title: string;
  icon: IconName;
  /** `g`, then this, goes there. */
  key: string;
  /** Gets what follows `#/<id>/` in the address. */
  component: ComponentType<{ rest: string; query: URLSearchParams }>;
}

export const VIEWS: readonly View[] = [
  { id: "overview", title: "Overview", icon: "overview", key: "o", component: OverviewView },
  { id: "queues", title: "Queues", icon: "queues", key: "q", component: QueuesView },
  { id: "tasks", title: "Tasks", icon: "tasks", key: "t", component: TasksView },
  { id: "dead", title: "Dead letters", icon: "dead", key: "d", component: DeadView },
  { id: "jobs", title: "Jobs", icon: "jobs", key: "b", component: JobsView },
  { id: "schedules", title: "Schedules", icon: "schedules", key: "c", component: SchedulesView },
  { id: "messages", title: "Messages", icon: "messages", key: "m", component: MessagesView },
  { id: "nodes", title: "Nodes", icon: "nodes", key: "n", component: NodesView },
  { id: "services", title: "Services", icon: "services", key: "s", component: ServicesView },
  { id: "limits", title: "Limits", icon: "limits", key: "l", component: LimitsView },
  { id: "quotas", title: "Quotas", icon: "quotas", key: "u", component: QuotasView },
  { id: "audit", title: "Audit log", icon: "audit", key: "a", component: AuditView },
];

export function viewOf(id: string): View | undefined {
  return VIEWS.find((view) => view.id === (id || "overview"));
}
