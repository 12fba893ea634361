/*
 * The server under test: the real binary on a free port with a directory of its own, and the ingest endpoint as a program
 * would use it. A page that asks another origin for anything, or breaks the content security policy, fails its test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect, type Page } from "@playwright/test";

const BINARY = process.env.STASO_BIN ?? new URL("../../target/debug/staso", import.meta.url).pathname;
const SHOTS = new URL("../screenshots/", import.meta.url).pathname;

export interface Server {
  url: string;
  ingest: (...traces: object[]) => Promise<void>;
  stop: () => Promise<void>;
}

async function until<T>(what: string, read: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      const value = await read();
      if (value) return value;
    } catch {
      // Not there yet.
    }
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function start(home: string): Promise<{ child: ChildProcess; url: string; said: () => string }> {
  const child = spawn(BINARY, ["serve", "--home", home, "--port", "0"], {
    env: { PATH: process.env.PATH, HOME: home, STASO_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout?.on("data", (data) => (output += data));
  child.stderr?.on("data", (data) => (output += data));
  try {
    const { url } = await until("server.json", () => {
      if (child.exitCode !== null) throw new Error("exited");
      return JSON.parse(readFileSync(join(home, "server.json"), "utf8")) as { url: string };
    });
    const plain = url.replace(/\/$/, "");
    await until("health", async () => (await fetch(`${plain}/api/health`)).ok);
    return { child, url: plain, said: () => output };
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${BINARY} did not start: ${String(error)}\n${output}`);
  }
}

/** Sends as a well-behaved client does: the same batch again, after the time it was told, when the server is busy. */
async function send(url: string, traces: object[]): Promise<void> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": randomUUID() };
  const body = JSON.stringify({ traces });
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${url}/v1/traces/ingest`, { method: "POST", headers, body });
    const answer = (await response.json()) as { accepted?: number };
    if (response.status === 429 && attempt < 10) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After"))));
      continue;
    }
    expect(response.status, JSON.stringify(answer)).toBe(200);
    expect(answer.accepted).toBe(traces.length);
    return;
  }
}

/** Fails the test on anything a user would find in the console or the network tab. */
function watch(page: Page, origin: string): string[] {
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Refused answers are part of some journeys and are shown on the screen.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text()))
      faults.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) faults.push(`request left the origin: ${url}`);
  });
  return faults;
}

export const test = base.extend<{ server: Server; look: (name: string) => Promise<void> }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixture's needs from this pattern.
  server: async ({}, use) => {
    const home = mkdtempSync(join(tmpdir(), "staso-web-"));
    const { child, url } = await start(home);
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const stop = () => {
      child.kill("SIGTERM");
      return ended;
    };
    await use({ url, ingest: (...traces) => send(url, traces), stop });
    await stop();
    rmSync(home, { recursive: true, force: true });
  },
  baseURL: async ({ server }, use) => use(server.url),
  page: async ({ page, server }, use) => {
    const faults = watch(page, server.url);
    await use(page);
    expect(faults).toEqual([]);
  },
  // A picture for a person to look at; nothing is compared with it.
  look: async ({ page }, use) => {
    mkdirSync(SHOTS, { recursive: true });
    await use(async (name) => {
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: join(SHOTS, `${name}.png`), animations: "disabled" });
    });
  },
});

export { expect };
