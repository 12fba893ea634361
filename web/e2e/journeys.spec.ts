/* What a person does with the dashboard, from the first run to the bottom of a trace with ten thousand spans. */
import { expect, test } from "./staso";
import { failingTrace, hugeTrace, nowNs, span, spanId, supportTrace, traceId } from "./traces";

test("the first trace opens by itself", async ({ page, server, look }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Waiting for the first trace" })).toBeVisible();
  await expect(page.getByText("import staso as st")).toBeVisible();
  await expect(page.getByText("Listening.")).toBeVisible();
  await look("first-run-1280-light");
  await server.ingest(supportTrace("first"));
  await expect(page).toHaveURL(new RegExp(`/traces/${traceId("first")}`));
  await expect(page.getByRole("heading", { name: "answer question", level: 1 })).toBeVisible();
});

test("the list filters by controls, by text and by link", async ({ page, server, look }) => {
  await server.ingest(
    supportTrace("a", 60_000),
    supportTrace("b", 50_000, "concierge"),
    failingTrace("c", 40_000),
  );
  await page.goto("/traces");
  const rows = page.getByRole("grid").locator("[data-trace]");
  await expect(rows).toHaveCount(3);
  await look("traces-1280-light");

  await page.getByRole("button", { name: "Status filter" }).click();
  await look("menu-1280-light");
  await page.getByRole("menuitemcheckbox", { name: /error/ }).click();
  await page.keyboard.press("Escape");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("charge customer");
  await expect(rows).toContainText("card declined");
  await expect(page).toHaveURL(/filter=status(%3A|:)error/);
  await expect(page.getByRole("textbox", { name: "Filter" })).toHaveValue("status:error");

  await page.keyboard.press("/");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("agent:concierge,billing -status:error");
  await page.keyboard.press("Enter");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("concierge");

  await page.goBack();
  await page.goto('/traces?filter=kind:llm "order a"');
  await expect(rows).toHaveCount(1);

  await page.goto("/traces?filter=agent:nobody");
  await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
  await look("no-match-1280-light");
  await page.getByRole("button", { name: "Clear the filter" }).last().click();
  await expect(rows).toHaveCount(3);

  await page.getByRole("textbox", { name: "Filter" }).fill("colour:red");
  await expect(page.getByRole("status").filter({ hasText: "There is no field “colour”" })).toBeVisible();
  await page.goto("/traces?filter=duration>soon");
  await expect(page.getByRole("heading", { name: "The filter was not understood" })).toBeVisible();
  await look("refused-filter-1280-light");
});

test("new traces wait while the list is read, and changed rows change in place", async ({ page, server }) => {
  const old = Array.from({ length: 60 }, (_, i) => supportTrace(`old-${i}`, 100_000 + i * 1000));
  await server.ingest(...old);
  await page.goto("/traces");
  const grid = page.getByRole("grid");
  const rows = grid.locator("[data-trace]");
  await expect(rows.first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  const active = page.locator('[data-trace][aria-selected="true"]');
  await expect(active).toHaveAttribute("data-trace", traceId("old-2"));
  const before = await active.boundingBox();

  await server.ingest(supportTrace("new-1", 0), supportTrace("new-2", 0));
  const pill = page.getByRole("button", { name: /2.new traces/ });
  await expect(pill).toBeVisible();
  expect(await active.boundingBox()).toEqual(before);

  const changed = supportTrace("old-2", 102_000);
  const late = span(
    "old-2",
    "late step",
    "answer question",
    { at: nowNs(), ms: 5 },
    { status: "error", error_message: "came late" },
  );
  await server.ingest({ ...changed, spans: [late] });
  await expect(active).toContainText("1 err");
  expect(await active.boundingBox()).toEqual(before);

  await page.keyboard.press("n");
  await expect(pill).toBeHidden();
  await expect(page.locator(`[data-trace="${traceId("new-1")}"]`)).toBeAttached();
});

test("an idle list at its top takes new traces in by itself, older ones come by scrolling", async ({
  page,
  server,
}) => {
  for (let batch = 0; batch < 3; batch++) {
    await server.ingest(
      ...Array.from({ length: 50 }, (_, i) =>
        supportTrace(`p-${batch}-${i}`, 60_000 + (batch * 50 + i) * 1000),
      ),
    );
  }
  await page.goto("/traces");
  const grid = page.getByRole("grid");
  await expect(grid.locator("[data-trace]").first()).toHaveAttribute("data-trace", traceId("p-0-0"));
  await server.ingest(supportTrace("fresh", 0));
  await expect(grid.locator("[data-trace]").first()).toHaveAttribute("data-trace", traceId("fresh"));
  await page.keyboard.press("End");
  await page.keyboard.press("End");
  await expect(async () => {
    await page.keyboard.press("End");
    await expect(page.locator(`[data-trace="${traceId("p-2-49")}"]`)).toBeVisible({ timeout: 500 });
  }).toPass();
});

test("the keyboard goes from the list into a trace and back", async ({ page, server, look }) => {
  await server.ingest(supportTrace("k1", 9000), failingTrace("k2", 5000));
  await page.goto("/traces");
  await expect(page.getByRole("grid").locator("[data-trace]")).toHaveCount(2);
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toBeVisible();
  await look("help-1280-light");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "answer question", level: 1 })).toBeVisible();

  const tree = page.getByRole("treegrid");
  const active = tree.locator('[aria-selected="true"]');
  await expect(tree.getByRole("row")).toHaveCount(5);
  await page.keyboard.press("ArrowLeft");
  await expect(tree.getByRole("row")).toHaveCount(1);
  await page.keyboard.press("ArrowRight");
  await expect(tree.getByRole("row")).toHaveCount(5);
  await page.keyboard.press("ArrowRight");
  await expect(active).toContainText("embed-query");
  await page.keyboard.press("ArrowDown");
  await expect(active).toContainText("chat");
  await expect(page).toHaveURL(new RegExp(`span=${spanId("k1/chat")}`));
  await page.keyboard.press("/");
  await page.keyboard.type("ticket");
  await page.keyboard.press("Enter");
  await expect(active).toContainText("open_ticket");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("grid")).toBeVisible();
  await expect(page.locator('[data-trace][aria-selected="true"]')).toHaveAttribute(
    "data-trace",
    traceId("k1"),
  );
});

test("the panel shows what went in and out, and the tab is in the link", async ({ page, server, look }) => {
  await server.ingest(supportTrace("panel"));
  await page.goto(`/traces/${traceId("panel")}?span=${spanId("panel/chat")}`);
  const panel = page.getByRole("complementary", { name: "Span" });
  await expect(panel.getByRole("heading", { name: "chat" })).toBeVisible();
  await expect(panel.getByText("You are a support agent.")).toBeVisible();
  await expect(panel.getByText("1,200")).toBeVisible();
  await look("panel-chat-1280-light");
  await panel.getByRole("button", { name: "Tree" }).first().click();
  await expect(panel.getByRole("tree", { name: "Input" })).toContainText("messages");

  await page.getByRole("treegrid").getByText("open_ticket").click();
  await expect(panel.getByRole("tree", { name: "Input" })).toContainText("12345678901234567890");
  await panel.getByRole("region", { name: "Output" }).getByRole("button", { name: "Raw" }).click();
  await expect(panel.getByText('"ticket": 312')).toBeVisible();

  await page.getByRole("treegrid").getByText("answer question").click();
  await panel.getByRole("tab", { name: /Metadata/ }).click();
  await expect(panel.getByRole("tree", { name: "Metadata" })).toContainText("gold");
  await expect(page).toHaveURL(/tab=metadata/);
  await panel.getByRole("tab", { name: "Details" }).click();
  await expect(panel.getByText(traceId("panel"))).toBeVisible();
  await look("panel-details-1280-light");
  await page.reload();
  await expect(panel.getByRole("tab", { name: "Details" })).toHaveAttribute("aria-selected", "true");
});

test("an error leads to its exception, its place and its stack", async ({ page, server, look }) => {
  await server.ingest(failingTrace("boom"));
  await page.goto(`/traces/${traceId("boom")}`);
  await expect(page.getByTestId("fate").first()).toHaveText("Error");
  await page.keyboard.press("e");
  await page.keyboard.press("e");
  const active = page.getByRole("treegrid").locator('[aria-selected="true"]');
  await expect(active).toHaveAttribute("data-span", /./);
  await page.getByRole("treegrid").getByText("call-stripe").click();
  const panel = page.getByRole("complementary", { name: "Span" });
  await panel.getByRole("tab", { name: "Error" }).click();
  await expect(panel.getByText("billing.CardError").first()).toBeVisible();
  await expect(panel.getByTestId("origin")).toContainText("/app/billing.py:12");
  await expect(panel.getByTestId("stack")).toContainText('File "/app/agent.py", line 40, in run');
  await look("error-1280-light");
});

test("an annotation is added, shown everywhere, and deleted", async ({ page, server, look }) => {
  await server.ingest(supportTrace("note"));
  await page.goto(`/traces/${traceId("note")}?span=${spanId("note/chat")}&tab=annotations`);
  const panel = page.getByRole("complementary", { name: "Span" });
  await panel.getByRole("button", { name: "Add" }).click();
  await expect(panel.getByText("Give it a name.")).toBeVisible();
  await panel.getByLabel("Name").fill("helpful");
  await panel.getByLabel("Value").fill("0.75");
  await panel.getByLabel("Comment").fill("clear and kind");
  await panel.getByRole("button", { name: "Add" }).click();
  await expect(panel.getByRole("listitem").filter({ hasText: "helpful" })).toContainText("0.75");
  await expect(panel.getByRole("listitem")).toContainText("clear and kind");
  await expect(
    page.locator("header").filter({ hasText: "answer question" }).getByText("helpful"),
  ).toBeVisible();
  await look("annotations-1280-light");
  await page.goto("/traces");
  await expect(page.getByRole("grid").locator("[data-trace]")).toContainText("0.75");
  await page.goBack();
  await panel.getByRole("button", { name: "Delete helpful" }).click();
  await expect(panel.getByRole("listitem")).toHaveCount(0);
});

test("a running span ticks, then ends without a reload", async ({ page, server, look }) => {
  const at = nowNs() - 3_000_000_000n;
  const process_id = "9d3f2c1e-4b5a-4c6d-8e7f-0a1b2c3d4e5f";
  const root = (ms: number | null) =>
    span("run", "long agent", null, { at, ms }, { kind: "agent", process_id });
  const step = span("run", "first step", "long agent", { at, ms: 800 }, { kind: "tool", process_id });
  await server.ingest({ trace_id: traceId("run"), agent_name: "worker", spans: [root(null), step] });
  const alive = await page.request.post("/v1/traces/ingest", {
    data: { traces: [], processes: [{ id: process_id, alive_ns: nowNs().toString() }] },
  });
  expect(alive.ok()).toBe(true);
  await page.goto(`/traces/${traceId("run")}`);
  await expect(page.getByTestId("fate").first()).toHaveText("Running");
  const duration = page.getByTestId("trace-duration");
  const first = await duration.textContent();
  await expect(duration).not.toHaveText(first ?? "");
  await expect(page.getByRole("treegrid").getByText(/s …/)).toBeVisible();
  await look("running-1280-light");
  await server.ingest({ trace_id: traceId("run"), agent_name: "worker", spans: [root(4200)] });
  await expect(page.getByTestId("fate").first()).toHaveText("OK");
  await expect(duration).toHaveText(/4\.20.s/);
});

test("what a process that died held open is closed without a reload", async ({ page, server, look }) => {
  const at = nowNs() - 3_000_000_000n;
  const [dying, living] = ["1d3f2c1e-4b5a-4c6d-8e7f-0a1b2c3d4e5f", "2d3f2c1e-4b5a-4c6d-8e7f-0a1b2c3d4e5f"];
  const open = (name: string, parent: string | null, process_id: string) =>
    span("died", name, parent, { at, ms: null }, { kind: "agent", process_id });
  const spans = [open("supervisor", null, living), open("worker", "supervisor", dying)];
  await server.ingest({ trace_id: traceId("died"), agent_name: "worker", spans });
  await page.goto(`/traces/${traceId("died")}`);
  const tree = page.getByRole("treegrid");
  await expect(tree.getByLabel("running")).toHaveCount(2);

  const goodbye = (id: string) =>
    page.request.post("/v1/traces/ingest", { data: { traces: [], processes: [{ id, goodbye: true }] } });
  expect((await goodbye(dying)).ok()).toBe(true);
  await expect(tree.getByLabel("interrupted")).toHaveCount(1);
  await expect(tree.getByLabel("running")).toHaveCount(1);
  await expect(page.getByTestId("fate").first()).toHaveText("Running");

  expect((await goodbye(living)).ok()).toBe(true);
  await expect(page.getByTestId("fate").first()).toHaveText("Interrupted");
  await expect(tree.getByLabel("interrupted")).toHaveCount(2);
  await expect(
    page.getByText("2 spans were open when the process ended, and closed as errors."),
  ).toBeVisible();
  await look("interrupted-1280-light");
});

test("a child whose parent never came is shown as such", async ({ page, server }) => {
  const orphan = span("orphan", "lost step", "nowhere", { at: nowNs() - 1_000_000_000n, ms: 10 });
  await server.ingest({ trace_id: traceId("orphan"), spans: [orphan] });
  await page.goto(`/traces/${traceId("orphan")}`);
  await expect(page.getByRole("treegrid").getByLabel("parent missing")).toBeVisible();
});

test("ten thousand spans scroll, jump and collapse", async ({ page, server, look }) => {
  test.setTimeout(120_000);
  const huge = hugeTrace("huge", 10_000);
  // In parts, children before and after their parents, as a long job sends them.
  for (let at = 8000; at >= 0; at -= 2000)
    await server.ingest({ ...huge, spans: huge.spans.slice(at, at + 2000) });
  await page.goto(`/traces/${traceId("huge")}`);
  const tree = page.getByRole("treegrid");
  await expect(tree.getByRole("row").first()).toBeVisible();
  await expect(page.getByText("10,000 spans")).toBeVisible();
  expect(await tree.getByRole("row").count()).toBeLessThan(80);
  await look("huge-1280-light");
  await page.keyboard.press("End");
  await expect(tree.getByText("step 9999")).toBeVisible();
  await page.keyboard.press("Home");
  await page.keyboard.press("e");
  await expect(tree.locator('[aria-selected="true"]')).toContainText("step 9998");
  await look("huge-error-1280-light");
  await page.keyboard.press("-");
  await expect(page.getByText(/of 10,000 spans/)).toBeVisible();
  await page.keyboard.press("+");
  await page.getByTestId("minimap").click({ position: { x: 100, y: 30 } });
  await expect(tree.getByText(/step [4-8]\d\d\d/).first()).toBeVisible();
});

test("the theme follows the system until it is chosen, and the choice stays", async ({ page, server }) => {
  await server.ingest(supportTrace("theme"));
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/traces");
  const html = page.locator("html");
  await expect(html).toHaveAttribute("data-theme", "dark");
  await page.emulateMedia({ colorScheme: "light" });
  await expect(html).toHaveAttribute("data-theme", "light");
  await page.keyboard.press("t");
  await expect(html).toHaveAttribute("data-theme", "dark");
  await page.reload();
  await expect(html).toHaveAttribute("data-theme", "dark");
  await page.keyboard.press("u");
  await expect(page.getByRole("button", { name: "UTC" })).toBeVisible();
});

test("a server that went away is said, and what was read stays", async ({ page, server, look }) => {
  await server.ingest(supportTrace("gone"));
  await page.goto(`/traces/${traceId("gone")}`);
  await page.getByRole("button", { name: /Back to the traces/ }).click();
  const rows = page.getByRole("grid").locator("[data-trace]");
  await expect(rows).toHaveCount(1);
  await server.ingest(supportTrace("unread", 1000));
  await expect(rows).toHaveCount(2);
  await server.stop();
  await expect(page.getByText("Offline")).toBeVisible();
  await expect(rows).toHaveCount(2);
  await page.getByRole("link", { name: "answer question" }).first().click();
  await expect(page.getByRole("heading", { name: "The trace could not be read" })).toBeVisible();
  await expect(page.getByText("still running?")).toBeVisible();
  await look("server-gone-1280-light");
});

test("a column sorts, and the order is in the link", async ({ page, server }) => {
  await server.ingest(supportTrace("slow", 9000), failingTrace("quick", 3000));
  await page.goto("/traces");
  const first = page.getByRole("grid").locator("[data-trace]").first();
  await expect(first).toContainText("charge customer");
  await page.getByRole("button", { name: "Duration" }).click();
  await expect(page).toHaveURL(/sort=duration/);
  await expect(first).toContainText("answer question");
  await expect(page.getByRole("columnheader", { name: "Duration" })).toHaveAttribute(
    "aria-sort",
    "descending",
  );
});

test("what is not there says so", async ({ page, server, look }) => {
  await server.ingest(supportTrace("here"));
  await page.goto(`/traces/${traceId("elsewhere")}`);
  await expect(page.getByRole("heading", { name: "This trace is not here" })).toBeVisible();
  await look("no-trace-1280-light");
  await server.ingest(supportTrace("elsewhere"));
  await expect(page.getByRole("heading", { name: "answer question", level: 1 })).toBeVisible();
  await page.goto("/nowhere");
  await expect(page.getByRole("heading", { name: "There is no such page" })).toBeVisible();
});
