// Placement rules and taints as people write and read them. Pure.

import type { PlacementRules, Taint, TaskRule } from "@ui/api/types";
import { plain } from "@ui/lib/format";
import { Unreadable } from "@ui/lib/words";

export const taintText = ({ key, value }: Taint): string => (value ? `${key}=${value}` : key);

/** "dedicated=ml" or "gpu" as a taint. Throws Unreadable. */
export function readTaint(text: string): Taint {
  const [key = "", ...rest] = text.trim().split("=");
  if (!key.trim() || key.includes("*") || /[\s,]/.test(key.trim())) {
    throw new Unreadable(`Taint: “${text.trim()}” is not KEY or KEY=VALUE, such as dedicated=ml.`);
  }
  const value = rest.join("=").trim();
  return value ? { key: key.trim(), value } : { key: key.trim() };
}

function nodeRule(rule: NonNullable<PlacementRules["nodes"]>[number]): string {
  const values = (rule.values ?? []).join(",");
  const many = (rule.values ?? []).length > 1;
  switch (plain(rule.operator, "LABEL_OPERATOR_")) {
    case "not in":
      return `${rule.label} ${many ? "not in" : "!="} ${values}`;
    case "exists":
      return rule.label;
    case "not exists":
      return `!${rule.label}`;
    default:
      return `${rule.label} ${many ? "in" : "="} ${values}`;
  }
}

const ruleText = ({ label, value, preferred }: TaskRule): string =>
  `${label}=${value ?? ""}${preferred ? " (preferred)" : ""}`;

/** The rules of a task: what each line is about, and what it says. */
export function ruleRows(rules: PlacementRules | undefined): [string, string][] {
  if (!rules) return [];
  const nodes = rules.nodes ?? [];
  const rows: [string, string][] = [
    ["Nodes with", nodes.filter((rule) => !rule.preferred).map(nodeRule).join(", ")],
    ["Prefers nodes with", nodes.filter((rule) => rule.preferred).map(nodeRule).join(", ")],
    ["Tolerates", (rules.tolerations ?? []).map(taintText).join(", ")],
    ["Near tasks with", (rules.near ?? []).map(ruleText).join(", ")],
    ["Apart from tasks with", (rules.apart ?? []).map(ruleText).join(", ")],
    ["On a node each, by", (rules.distinct ?? []).join(", ")],
    ["Placement", plain(rules.strategy, "PLACEMENT_STRATEGY_")],
    ["Spread over", rules.spread ?? ""],
  ];
  return rows.filter(([, text]) => text && text !== "unspecified");
}
