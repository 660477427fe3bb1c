import { Problem } from "@ui/api/rest";
import { faultOf, type Named } from "@ui/lib/faults";
import { Unreadable } from "@ui/lib/words";

const fields = new Map<string, Named>([
  ["a", { label: "Unique key", of: ["spec.unique", "TASK_ALREADY_EXISTS"] }],
  ["b", { label: "Unique for", of: ["spec.unique.window"] }],
  ["c", { label: "No ticks during", of: ["schedule.spec.blackouts"] }],
]);

const refused = (field: string, description: string) =>
  new Problem({ detail: `${field}: ${description}`, violations: [{ field, description: `${field}: ${description}` }] });

test("an error of the server is about the field with the longest path", () => {
  expect(faultOf(refused("spec.unique.window", "0.5 s is out of range"), fields)).toEqual({
    field: "b",
    message: "0.5 s is out of range.",
  });
  expect(faultOf(refused("spec.unique.key", "is required"), fields)).toEqual({ field: "a", message: "Is required." });
});

test("one of several values is on its line", () => {
  expect(faultOf(refused("schedule.spec.blackouts[2].cron", "bad minute '61'"), fields)).toEqual({
    field: "c",
    message: "Line 3: bad minute '61'.",
  });
});

test("a reason may be about a field", () => {
  const error = new Problem({ reason: "TASK_ALREADY_EXISTS", detail: "task 'a' has the unique key 'b'" });
  expect(faultOf(error, fields)).toEqual({ field: "a", message: "Task 'a' has the unique key 'b'." });
});

test("what no field has is about the form", () => {
  for (const error of [
    refused("spec.uniqueness", "is odd"),
    refused("spec", "1 bytes too many"),
    new Problem({ reason: "QUEUE_FULL", detail: "queue 'q' is full" }),
    new Error("the gateway cannot be reached"),
    new Unreadable("Type at least one limit."),
  ]) {
    expect(faultOf(error, fields)).toEqual({ message: error.message });
  }
});

test("what cannot be read is about the field with its label", () => {
  const error = new Unreadable("“soon” is not a duration.", "Unique for");
  expect(error.message).toBe("Unique for: “soon” is not a duration.");
  expect(faultOf(error, fields)).toEqual({ field: "b", message: "“soon” is not a duration." });
});
