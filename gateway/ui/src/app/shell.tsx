// The frame around every view: navigation, the cluster's state, banner, toasts, help.

import { useEffect, useState } from "preact/hooks";
import { live } from "@ui/api/live";
import { BASE } from "@ui/api/rest";
import { pulse } from "@ui/api/store";
import { Banner } from "@ui/app/banner";
import { VIEWS, viewOf } from "@ui/app/registry";
import { helpShown } from "@ui/app/shortcuts";
import { SignedIn, SignedOut, signedOut, SignIn } from "@ui/app/sign-in";
import { nextTheme, theme } from "@ui/app/theme";
import { count } from "@ui/lib/format";
import { href, route } from "@ui/lib/router";
import { Button, Empty } from "@ui/parts/basics";
import { Confirmation, Dialog } from "@ui/parts/dialog";
import { Icon } from "@ui/parts/icons";
import { Toasts } from "@ui/parts/toasts";

// Titles of pages about one of many.
const ONE: Record<string, string> = { tasks: "Task", jobs: "Job" };
const THEME_ICONS = { system: "system", light: "sun", dark: "moon" } as const;

export function Shell() {
  const { view: id, rest, query } = route.value;
  const view = viewOf(id);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    setOpen(false);
    document.title = `${(rest && ONE[id]) || (view?.title ?? "Not found")} · Quorate`;
    window.scrollTo(0, 0);
  }, [id, rest]);
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to content
      </a>
      <div class="frame">
        <nav class={open ? "nav open" : "nav"} aria-label="Views">
          <div class="brand">
            <a href={href("overview")}>
              <Logo />
              <span>Quorate</span>
            </a>
            <button
              type="button"
              class="button quiet only toggle"
              aria-expanded={open}
              aria-label={open ? "Close the menu" : "Open the menu"}
              onClick={() => setOpen(!open)}
            >
              <Icon name={open ? "close" : "menu"} />
            </button>
          </div>
          <div class="drawer">
            <ul>
              {VIEWS.map((one) => (
                <li key={one.id}>
                  <a href={href(one.id)} aria-current={one === view ? "page" : undefined}>
                    <Icon name={one.icon} />
                    {one.title}
                    <kbd aria-hidden="true">g {one.key}</kbd>
                  </a>
                </li>
              ))}
            </ul>
            <Status />
            <SignedIn />
            <div class="tools">
              <Button
                kind="quiet"
                icon={THEME_ICONS[theme.value]}
                title={`Theme: ${theme.value}`}
                onClick={nextTheme}
              />
              <Button
                kind="quiet"
                icon="keyboard"
                title="Keyboard shortcuts"
                onClick={() => {
                  helpShown.value = true;
                }}
              />
              <a
                class="button quiet only"
                href={new URL("docs", BASE).href}
                title="API reference"
                aria-label="API reference"
              >
                <Icon name="docs" />
              </a>
            </div>
          </div>
        </nav>
        <main id="main" tabIndex={-1}>
          <Banner />
          <SignIn />
          {signedOut() ? (
            <SignedOut />
          ) : view ? (
            <view.component rest={rest} query={query} key={view.id} />
          ) : (
            <Empty page icon="search" title="There is no such view">
              <a href={href("overview")}>Go to the overview</a>
            </Empty>
          )}
        </main>
      </div>
      <Toasts />
      <Confirmation />
      {helpShown.value && <Help />}
    </>
  );
}

function skipToMain(event: Event): void {
  // The hash belongs to the router.
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Logo() {
  return (
    <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true" class="logo">
      <rect width="32" height="32" rx="7" />
      <circle cx="16" cy="15.5" r="8" />
      <path d="M19.5 19l4.5 4.8" />
      <circle class="core" cx="16" cy="15.5" r="2.9" />
    </svg>
  );
}

/** Who leads, and whether we hear of it. */
function Status() {
  const cluster = pulse.value?.cluster;
  const leader = cluster?.schedulers?.find((one) => one.leader);
  const [tone, text] =
    signedOut()
      ? ["cancelled", "not signed in"]
      : live.up.value === false
        ? ["failed", "disconnected"]
        : !live.leader.value
          ? ["pending", "no leader"]
          : cluster
            ? ["succeeded", `${leader?.name ?? "leader"} leads`]
            : ["cancelled", "connecting"];
  return (
    <div class="status">
      <strong>{cluster?.name ?? " "}</strong>
      <span class={`tone-${tone}`} data-testid="status">
        <i class="dot" />
        {text}
      </span>
      {cluster && (
        <small>
          epoch {count(cluster.epoch)} · v{cluster.version}
        </small>
      )}
    </div>
  );
}

const KEYS: readonly [string, string][] = [
  ...VIEWS.map((view): [string, string] => [`g ${view.key}`, view.title]),
  ["/", "Search"],
  ["c", "Create or submit, in views that can"],
  ["j  k  or  ↓  ↑", "Next and previous row"],
  ["Enter", "Open the row"],
  ["x", "Select the row"],
  ["Esc", "Leave a field, close, clear the selection"],
  ["?", "This help"],
];

function Help() {
  return (
    <Dialog
      title="Keyboard shortcuts"
      onClose={() => {
        helpShown.value = false;
      }}
    >
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(/(?:\s+)/).map((key) => (key === "or" ? " or " : <kbd key={key}>{key}</kbd>))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
