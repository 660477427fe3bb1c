// Builds the dashboard into gateway/_ui (git-ignored; the wheel carries it).
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Relative: the page works below any path.
  base: "./",
  resolve: { alias: { "@ui": here("src") } },
  build: {
    outDir: here("../_ui"),
    emptyOutDir: true,
    target: "es2022",
    // The Content-Security-Policy has no room for data: URLs.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` beside a running gateway.
    proxy: {
      "/v1": {
        target: process.env.QUORATE_GATEWAY ?? "http://127.0.0.1:7470",
        ws: true,
        changeOrigin: true,
      },
    },
    fs: { allow: [here("."), here("../../tests/ui")] },
  },
  test: {
    globals: true,
    environment: "node",
    // The colours are tested too.
    css: true,
    dir: here("../../tests/ui"),
    include: ["**/*.test.ts"],
    // Tests leave no state to each other: they pass in any order of files.
    pool: "threads",
    isolate: false,
  },
});
