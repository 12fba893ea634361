/* Conversations in several dialects become one shape; what is not a conversation is left alone. */
import { describe, expect, it } from "vitest";
import { messagesOf } from "./chat";

describe("messagesOf", () => {
  it("reads plain messages, bare or wrapped", () => {
    const messages = [{ role: "user", content: "hi" }];
    const expected = [{ role: "user", name: null, parts: [{ type: "text", text: "hi" }] }];
    expect(messagesOf(messages)).toEqual(expected);
    expect(messagesOf({ model: "m", messages })).toEqual(expected);
    expect(messagesOf({ choices: [{ message: messages[0] }] })).toEqual(expected);
  });
  it("puts a separate system text first", () => {
    expect(messagesOf({ system: "be kind", messages: [{ role: "user", content: "x" }] })?.[0]?.role).toBe(
      "system",
    );
  });
  it("reads tool calls and results of both families", () => {
    const [call, result] =
      messagesOf([
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "1", function: { name: "add", arguments: '{"a":1}' } }],
        },
        { role: "tool", tool_call_id: "1", content: "2" },
      ]) ?? [];
    expect(call?.parts).toEqual([{ type: "tool_call", name: "add", id: "1", arguments: { a: 1 } }]);
    expect(result?.parts).toEqual([{ type: "tool_result", id: "1", content: "2" }]);
    const other = messagesOf([
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm" },
          { type: "tool_use", id: "2", name: "f", input: {} },
        ],
      },
    ]);
    expect(other?.[0]?.parts.map((p) => p.type)).toEqual(["reasoning", "tool_call"]);
  });
  it("keeps what it does not know", () => {
    const image = { type: "image_url", image_url: { url: "x" } };
    expect(messagesOf([{ role: "user", content: [image, 5] }])?.[0]?.parts).toEqual([
      { type: "other", value: image },
      { type: "other", value: 5 },
    ]);
  });
  it("is not fooled by other data", () => {
    for (const value of [
      null,
      1,
      "role",
      [],
      {},
      { messages: [] },
      { messages: [{ role: 1 }] },
      [{ role: "user" }],
      [1],
    ]) {
      expect(messagesOf(value)).toBeNull();
    }
  });
});
