// Modal dialogs on the <dialog> element, which keeps the focus inside and gives it back.

import { signal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { faultOf, type Fault, type Named } from "@ui/lib/faults";
import { Button, Failure } from "@ui/parts/basics";
import { FieldsContext, unfold } from "@ui/parts/field";

export { Field } from "@ui/parts/field";

interface DialogProps {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ComponentChildren;
}

interface Modal {
  element: RefObject<HTMLDialogElement | null>;
  /** Closes the dialog; whoever rendered it knows at once. Again: nothing happens. */
  shut: () => void;
}

/**
 * A dialog is open from its rendering until `shut`.
 *
 * The element's own `close` event comes in a later task, and effects run after the next frame:
 * a key pressed meanwhile would find neither an open dialog nor a page that can open another one.
 */
function useModal(onClose: () => void): Modal {
  const element = useRef<HTMLDialogElement>(null);
  const closed = useRef(false);
  useLayoutEffect(() => {
    element.current?.showModal();
  }, []);
  const shut = () => {
    if (closed.current) return;
    closed.current = true;
    element.current?.close();
    onClose();
  };
  return { element, shut };
}

export function Dialog(props: DialogProps) {
  return <Frame {...props} modal={useModal(props.onClose)} />;
}

interface FrameProps extends Omit<DialogProps, "onClose"> {
  modal: Modal;
}

function Frame({ title, wide, modal: { element, shut }, children }: FrameProps) {
  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-label={title}
      onCancel={(event) => {
        // Escape. The event of a file field inside bubbles and closes nothing.
        if (event.target !== element.current) return;
        event.preventDefault();
        shut();
      }}
      onClose={shut}
      onClick={(event) => {
        // The backdrop belongs to the element itself; what is inside has padding of its own.
        if (event.target === element.current) shut();
      }}
    >
      <div class="inside">
        <header>
          <h2>{title}</h2>
          <Button kind="quiet" icon="close" title="Close" onClick={shut} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface FormProps extends DialogProps {
  submit: string;
  danger?: boolean;
  /** It cannot be submitted as it is. */
  disabled?: boolean;
  /** Why what was typed is wrong, known before it is submitted. */
  problem?: Error;
  /** Throws with a sentence when it fails: the form stays, with what was typed. */
  onSubmit: (data: FormData) => Promise<void>;
}

/** A form in a dialog. It closes when `onSubmit` is through. An error is shown beside the field that it names. */
export function FormDialog(props: FormProps) {
  const modal = useModal(props.onClose);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<Fault>();
  const [fields] = useState(() => new Map<string, Named>());
  const fault = failed ?? (props.problem && faultOf(props.problem, fields));
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    setBusy(true);
    setFailed(undefined);
    try {
      await props.onSubmit(new FormData(form));
      modal.shut();
    } catch (error) {
      setFailed(faultOf(error as Error, fields));
      setBusy(false);
    }
  };
  return (
    <Frame title={props.title} wide={props.wide} modal={modal}>
      <FieldsContext.Provider value={{ fields, fault, submitted: failed !== undefined }}>
        <form
          onSubmit={(event) => void send(event)}
          // What the browser refuses in a closed part of the form would not be seen.
          onInvalidCapture={(event) => unfold(event.target as Element)}
          onInput={() => failed?.field && setFailed(undefined)}
        >
          {props.children}
          {fault && !fault.field && <Failure message={fault.message} />}
          <footer>
            <Button onClick={modal.shut}>Cancel</Button>
            <Button
              type="submit"
              kind={props.danger ? "danger" : "primary"}
              busy={busy}
              disabled={props.disabled}
            >
              {props.submit}
            </Button>
          </footer>
        </form>
      </FieldsContext.Provider>
    </Frame>
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
