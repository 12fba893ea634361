"""The payloads every SDK row records: `typical` (5 metadata keys, about 500 bytes in and out) and
`heavy` (64 KiB of nested messages in, 8 KiB out)."""

import json

META = {"user.tier": "enterprise", "retry": 2, "temperature": 0.7, "cached": False, "route": "eu-west-1/agents/support"}
INP = {
    "messages": [
        {"role": "system", "content": "You are a helpful support agent. Answer briefly."},
        {
            "role": "user",
            "content": "Where is my order #48121? It was due on Monday and the tracking page shows nothing.",
        },
    ],
    "model": "gpt-4o-mini",
    "max_tokens": 256,
}
OUT = {
    "role": "assistant",
    "content": "Your order left the warehouse on Friday; the carrier expects delivery tomorrow before noon.",
    "usage": {"input_tokens": 61, "output_tokens": 23, "total_tokens": 84},
}
_PARA = (
    'The customer wrote: "the parcel hasn\'t arrived" and asked for a refund.\n'
    'Order 48121, line 3: {"sku": "A-17", "qty": 2, "price": 19.90}\n'
    "Please check the warehouse log, then answer politely and cite the policy. "
)
_UNI = "Größe geändert – naïve café déjà vu, 東京 😀. "


def _text(i, n):
    base = (_UNI if i % 8 == 0 else "") + _PARA
    return (f"[{i}] " + base * (n // len(base) + 1))[:n]


HEAVY_IN = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "messages": [
        {
            "role": ("user", "assistant")[i % 2],
            "content": [{"type": "text", "text": _text(i, 870), "annotations": {"idx": i, "ok": True, "score": i / 7}}],
        }
        for i in range(60)
    ],
}
HEAVY_OUT = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": _text(3, 7600)}}],
    "usage": {"input_tokens": 16012, "output_tokens": 1870},
}

if __name__ == "__main__":
    for k in ("META", "INP", "OUT", "HEAVY_IN", "HEAVY_OUT"):
        v = globals()[k]
        print(k, len(json.dumps(v)), len(json.dumps(v, ensure_ascii=False).encode()))
