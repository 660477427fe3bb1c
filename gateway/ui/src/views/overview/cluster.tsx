// Who leads since when, the schedulers, and etcd's size against its quota.

import { pulse } from "@ui/api/store";
import { bytes, count, num, plural } from "@ui/lib/format";
import { Ago, Badge, Bar, Loading, Panel } from "@ui/parts/basics";

export function ClusterPanel() {
  const cluster = pulse.value?.cluster;
  if (!cluster) {
    return (
      <Panel title="Cluster">
        <Loading rows={5} />
      </Panel>
    );
  }
  const leader = cluster.schedulers?.find((one) => one.leader);
  const size = num(cluster.etcd?.dbSize);
  const quota = num(cluster.etcd?.dbQuota);
  return (
    <Panel title="Cluster">
      <dl class="facts">
        <dt>Leader</dt>
        <dd>
          <strong>{leader?.name ?? "none"}</strong> <span class="muted">since </span>
          <Ago time={cluster.leaderSince} />
        </dd>
        <dt>Epoch</dt>
        <dd>
          <span class="number">{count(cluster.epoch)}</span>
          <span class="muted"> · {count(cluster.sequence)} transactions in it</span>
        </dd>
        <dt>Schedulers</dt>
        <dd class="row">
          {cluster.schedulers?.map((one) => (
            <span key={one.name} title={one.address}>
              <Badge tone={one.leader ? "succeeded" : "cancelled"}>
                {one.name} {one.leader ? "leads" : "stands by"}
              </Badge>
            </span>
          ))}
        </dd>
        <dt>etcd</dt>
        <dd>
          {cluster.etcd?.version}
          <span class="muted"> · {plural(cluster.etcd?.members ?? 0, "member")}</span>
        </dd>
        <dt>Database</dt>
        <dd>
          {quota ? (
            <Bar
              share={size / quota}
              text={`${bytes(size)} of ${bytes(quota)}`}
              label="etcd database"
            />
          ) : (
            bytes(size)
          )}
        </dd>
        <dt>Tasks</dt>
        <dd>
          {count(cluster.liveTasks)} <span class="muted">unfinished · </span>
          {count(cluster.retainedTasks)} <span class="muted">finished on record</span>
        </dd>
      </dl>
    </Panel>
  );
}
