/*
 * How the dashboard is built and served while developing. The build is static: the server embeds `dist/` and replaces
 * the nonce placeholder in `index.html` on each response, so that its Content-Security-Policy needs no `unsafe-inline`.
 */
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const target = process.env.STASO_URL ?? "http://127.0.0.1:7827";

// The server accepts an Origin only when it equals the request's own host, so the proxy speaks as the target would.
const proxy = {
  target,
  changeOrigin: true,
  headers: { origin: target },
};

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    target: "es2023",
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { host: "127.0.0.1", proxy: { "/api": proxy, "/v1": proxy } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
