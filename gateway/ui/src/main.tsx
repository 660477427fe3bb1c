import { render } from "preact";
import { live } from "@ui/api/live";
import { startStore } from "@ui/api/store";
import { startBanner } from "@ui/app/banner";
import { Shell } from "@ui/app/shell";
import { startShortcuts } from "@ui/app/shortcuts";
import { startSignIn } from "@ui/app/sign-in";
import { startTheme } from "@ui/app/theme";
import { startRouter } from "@ui/lib/router";
import "@ui/styles/index.css";

startTheme();
startRouter();
startShortcuts();
startStore();
startBanner();
startSignIn();
live.start();
addEventListener("online", () => live.wake());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) live.wake();
});
render(<Shell />, document.getElementById("app")!);
