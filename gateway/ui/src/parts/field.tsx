// A field of a form: its label, a hint, and what is wrong with it.

import { createContext, type ComponentChildren } from "preact";
import { useContext, useId, useLayoutEffect, useRef } from "preact/hooks";
import type { Fault, Named } from "@ui/lib/faults";
import { Icon } from "@ui/parts/icons";

interface Fields {
  /** Those of the form, by their keys. */
  fields: Map<string, Named>;
  fault: Fault | undefined;
  /** The fault is of a form that was submitted: its field gets the focus. */
  submitted: boolean;
}

export const FieldsContext = createContext<Fields | undefined>(undefined);

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  /** Paths of the API and reasons of errors that are about it; see `Named`. */
  of?: string | readonly string[];
  children: ComponentChildren;
}

export function Field({ label, hint, of = [], children }: FieldProps) {
  const key = useId();
  const element = useRef<HTMLDivElement>(null);
  const form = useContext(FieldsContext);
  const paths = typeof of === "string" ? [of] : of;
  useLayoutEffect(() => {
    form?.fields.set(key, { label, of: paths });
    return () => {
      form?.fields.delete(key);
    };
  }, [form?.fields, label, paths.join(" ")]);
  const wrong = form?.fault?.field === key ? form.fault.message : "";
  const submitted = form?.submitted;
  const described = [hint && `${key}-hint`, wrong && `${key}-wrong`].filter(Boolean).join(" ");
  useLayoutEffect(() => {
    const input = element.current?.querySelector<HTMLElement>("input, select, textarea");
    if (!input) return;
    if (described) input.setAttribute("aria-describedby", described);
    else input.removeAttribute("aria-describedby");
    if (!wrong) {
      input.removeAttribute("aria-invalid");
      return;
    }
    input.setAttribute("aria-invalid", "true");
    if (!submitted) return;
    unfold(input);
    input.focus();
  }, [described, wrong, submitted]);
  return (
    <div class="field" ref={element}>
      <label>
        <span>{label}</span>
        {children}
      </label>
      {hint && <small id={`${key}-hint`}>{hint}</small>}
      {wrong && (
        <small class="wrong" role="alert" id={`${key}-wrong`}>
          <Icon name="warning" size={13} />
          {wrong}
        </small>
      )}
    </div>
  );
}

/** Opens the part of a form that an element is in. */
export function unfold(element: Element): void {
  element.closest("details")?.setAttribute("open", "");
}
