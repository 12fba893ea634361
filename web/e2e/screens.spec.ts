/* One picture of each screen in both themes at both widths, for a person to look at; and that nothing overflows sideways. */
import { expect, test } from "./staso";
import { failingTrace, hugeTrace, nowNs, span, spanId, supportTrace, traceId } from "./traces";

const SIZES = [
  { name: "1280", width: 1280, height: 800 },
  { name: "390", width: 390, height: 844 },
];

for (const { name, width, height } of SIZES) {
  for (const theme of ["light", "dark"] as const) {
    test(`screens at ${name} px, ${theme}`, async ({ page, server, look }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      const shot = async (screen: string) => {
        await look(`${screen}-${name}-${theme}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${screen} overflows`).toBeLessThanOrEqual(0);
      };
      await page.goto("/");
      await expect(page.getByRole("heading", { name: "Waiting for the first trace" })).toBeVisible();
      await shot("first-run");

      const open = span(
        "open",
        "long agent",
        null,
        { at: nowNs() - 9_000_000_000n, ms: null },
        { kind: "agent", agent_name: "worker" },
      );
      const rtl = {
        ...supportTrace("rtl", 30_000),
        spans: [
          span(
            "rtl",
            "سؤال العميل",
            null,
            { at: nowNs() - 30_000_000_000n, ms: 120 },
            {
              kind: "agent",
              input: JSON.stringify("كيف يمكنني استرداد المبلغ؟"),
              output: JSON.stringify("خلال 30 يومًا"),
            },
          ),
        ],
      };
      await server.ingest(
        ...Array.from({ length: 12 }, (_, i) =>
          supportTrace(`s${i}`, 60_000 + i * 61_000, i % 3 ? "support" : "concierge"),
        ),
        failingTrace("f1", 45_000),
        rtl,
        { trace_id: traceId("open"), spans: [open] },
        hugeTrace("big", 3000),
      );
      for (const [label, value, data_type] of [
        ["helpful", 0.92, "numeric"],
        ["resolved", true, "boolean"],
      ] as const) {
        const answer = await page.request.post(`/v1/traces/${traceId("s1")}/annotations`, {
          data: { name: label, value, data_type, source: "human" },
        });
        expect(answer.status()).toBe(201);
      }
      await page.goto("/traces");
      await expect(page.getByRole("grid").locator("[data-trace]").nth(5)).toBeVisible();
      await shot("traces");
      await page.goto("/traces?filter=agent:nobody");
      await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
      await shot("no-match");
      await page.goto(`/traces/${traceId("s1")}`);
      await expect(page.getByRole("treegrid").getByText("open_ticket")).toBeVisible();
      await shot("trace");
      await page.goto(`/traces/${traceId("s1")}?span=${spanId("s1/chat")}`);
      await expect(page.getByText("You are a support agent.")).toBeVisible();
      await shot("span-chat");
      await page.goto(`/traces/${traceId("f1")}?span=${spanId("f1/call-stripe")}&tab=error`);
      await expect(page.getByTestId("stack")).toBeVisible();
      await shot("span-error");
      await page.goto(`/traces/${traceId("s1")}?span=${spanId("s1/chat")}&tab=annotations`);
      await expect(page.getByLabel("Comment")).toBeVisible();
      await shot("span-annotations");
      await page.goto(`/traces/${traceId("big")}`);
      await expect(page.getByRole("treegrid").getByRole("row").nth(5)).toBeVisible();
      await shot("trace-big");
    });
  }
}
