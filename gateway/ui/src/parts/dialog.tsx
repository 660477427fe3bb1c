// Modal dialogs on the <dialog> element, which keeps the focus inside and gives it back.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button, Failure } from "@ui/parts/basics";

interface DialogProps {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, wide, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => {
        // The backdrop belongs to the element itself; what is inside has padding of its own.
        if (event.target === element.current) element.current?.close();
      }}
    >
      <div class="inside">
        <header>
          <h2>{title}</h2>
          <Button kind="quiet" icon="close" title="Close" onClick={() => element.current?.close()} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface FormProps extends DialogProps {
  submit: string;
  danger?: boolean;
  /** Throws with a sentence when it fails: the form stays, with what was typed. */
  onSubmit: (data: FormData) => Promise<void>;
}

/** A form in a dialog. It closes when `onSubmit` is through. */
export function FormDialog(props: FormProps) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setBusy(true);
    setFailure("");
    try {
      await props.onSubmit(new FormData(form));
      form.closest("dialog")?.close();
    } catch (error) {
      setFailure((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose} wide={props.wide}>
      <form onSubmit={(event) => void send(event)}>
        {props.children}
        {failure && <Failure message={failure} />}
        <footer>
          <Button
            onClick={() => document.querySelector<HTMLDialogElement>("dialog[open]")?.close()}
          >
            Cancel
          </Button>
          <Button type="submit" kind={props.danger ? "danger" : "primary"} busy={busy}>
            {props.submit}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

interface Question {
  title: string;
  text: ComponentChildren;
  submit: string;
  danger?: boolean;
  act: () => Promise<unknown>;
}

const question = signal<Question | undefined>(undefined);

/** Asks before something that cannot be undone. */
export function confirm(asked: Question): void {
  question.value = asked;
}

export function Confirmation() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <FormDialog
      title={asked.title}
      submit={asked.submit}
      danger={asked.danger ?? true}
      onClose={() => {
        question.value = undefined;
      }}
      onSubmit={async () => {
        await asked.act();
      }}
    >
      <p>{asked.text}</p>
    </FormDialog>
  );
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  children: ComponentChildren;
}

export function Field({ label, hint, children }: FieldProps) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}
