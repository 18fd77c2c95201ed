# ruff: noqa: E501, RUF001  (replies as models write them)
"""Replies by the family of models that writes so, each with the program or the calls that must result.

``None`` is where nothing may run. The tools of CALLS are those of :data:`.calls.SCHEMAS`.
"""

from typing import Any

Calls = list[tuple[str, dict[str, Any] | None]]

PROGRAMS: dict[str, list[tuple[str, str | None]]] = {
    "OpenAI": [
        (
            "**Thought:** I sum them up.\n\n```python\ntotal = sum([1, 2])\nprint(total)\n```",
            "total = sum([1, 2])\nprint(total)",
        ),
        ('Thought: I look first.\nCode:\n```py\nprint(w(city="Oslo"))\n```<end_code>', 'print(w(city="Oslo"))'),
        (
            "### Step 1\nI read it.\n\n<code>\ndata = w(city='Oslo')\nprint(data)\n</code>\n\nI will wait for the output.",
            "data = w(city='Oslo')\nprint(data)",
        ),
        ("First:\n```python\nx = 1\n```\nThen:\n```python\nprint(x)\n```", "x = 1\n\nprint(x)"),
        (
            "<|channel|>analysis<|message|>Maybe <code>delete_all()</code>?<|end|><|start|>assistant<|channel|>final<|message|><code>\nprint(1)\n</code>",
            "print(1)",
        ),
        ("<code>\nprint(1)\n</code>\nObservation:\n1\n\nThought: done\n<code>\nfinal_answer(1)\n</code>", "print(1)"),
        (
            'Here is the plan in JSON:\n```json\n{"step": 1}\n```\nand the program:\n```python\nprint(1)\n```',
            "print(1)",
        ),
        ("<code>\n# “quotes” and — dashes\nprint('“a” — b')\n</code>", "# “quotes” and — dashes\nprint('“a” — b')"),
        ("I'm sorry, but I can't help with that.", None),
        ("Could you tell me which city you mean?", None),
    ],
    "Anthropic": [
        (
            'I\'ll look at the data first.\n\n<code>\nrows = w(city="Oslo")\nprint(rows)\n</code>',
            'rows = w(city="Oslo")\nprint(rows)',
        ),
        (
            "<thinking>\nI could run\n<code>\ndelete_all()\n</code>\nbut no.\n</thinking>\n\n<code>\nprint(1)\n</code>",
            "print(1)",
        ),
        (
            'I\'ll write the page with its own `<code>` tags:\n\n<code>\nhtml = "<pre><code>x</code></pre>"\nfinal_answer(html)\n</code>',
            'html = "<pre><code>x</code></pre>"\nfinal_answer(html)',
        ),
        (
            '<code>\ntext = """\n# Title\n\n```python\nprint(\'hi\')\n```\n"""\nfinal_answer(text)\n</code>',
            'text = """\n# Title\n\n```python\nprint(\'hi\')\n```\n"""\nfinal_answer(text)',
        ),
        ("Let me check.\n\n```python\nprint(1)\n```\n\nThis will show whether it works.", "print(1)"),
        ("<code>\nprint(1)\n</code>\n\n<result>\n1\n</result>\n\nThe result is 1.", "print(1)"),
        (
            "I'll do this in two parts.\n\n<code>\na = 1\n</code>\n\nAnd now the second:\n\n<code>\nprint(a)\n</code>",
            "a = 1\n\nprint(a)",
        ),
        ("I need more information before I can do this. Which file do you mean?", None),
        ("<thinking>The answer is 4.</thinking>\n\nThe answer is 4.", None),
    ],
    "Qwen": [
        (
            "<think>\nOkay, the user wants a sum. Let me write\n```python\nbad()\n```\nNo, with tags.\n</think>\n\nThought: I sum.\n<code>\nprint(1 + 1)\n</code>",
            "print(1 + 1)",
        ),
        ("<think>\n\n</think>\n\n<code>\nprint(1)\n</code>", "print(1)"),
        ("Okay, so I need `<code>`. Hmm.\n</think>\n\n<code>\nprint(1)\n</code>", "print(1)"),
        ("Thought: I add.\n<code>\n```python\nprint(1)\n```\n</code>", "print(1)"),
        ("Thought: 我来计算。\n<code>\nprint('你好')\n</code>", "print('你好')"),
        ("```python\nprint(1)\n```<|im_end|>", "print(1)"),
        ("<code>\nprint(1)\n</code><|im_end|>\n<|im_start|>user\nObservation: 1", "print(1)"),
        ("Thought: done.\nCode:\n```python\nfinal_answer(4)\n```\n", "final_answer(4)"),
        ("<think>\nI never stop thinking\n<code>\nbad()\n</code>", None),
    ],
    "DeepSeek-R1": [
        (
            "<think>\nFirst idea:\n<code>\ndelete_all()\n</code>\nWait, no. Second idea is better.\n</think>\nThought: I print.\n<code>\nprint(1)\n</code>",
            "print(1)",
        ),
        ("First idea:\n```python\ndelete_all()\n```\nWait.\n</think>\n\n```python\nprint(1)\n```", "print(1)"),
        ("<think>Short.</think>```python\nprint(1)\n```", "print(1)"),
        (
            "<think>\nThe observation said \"</code>\" oddly.\n</think>\n<code>\nprint('</code>')\n</code>",
            "print('</code>')",
        ),
        ("<think>a</think>\n\n**Code:**\n\n```python\nprint(1)\n```\n\n**Explanation:** It prints.", "print(1)"),
        ("<think>a</think>\nThe final answer is \\boxed{4}.", None),
        ("<think>\nHmm, maybe\n```python\nbad()\n```\nstill thinking", None),
        ("<think>x</think>\n<code>\nimport math\nprint(math.pi)\n", "import math\nprint(math.pi)"),
    ],
    "Llama": [
        ('<|python_tag|>print(w(city="Oslo"))<|eom_id|>', 'print(w(city="Oslo"))'),
        ("Thought: I look.\nCode:\n```python\nprint(1)\n```<|eot_id|>", "print(1)"),
        ("To solve this, I will use Python:\n\n    print(1)\n\n```\nprint(1)\n```", "print(1)"),
        ("<code>print(1)</code>", "print(1)"),
        ("Thought: I call it.\n<code>\nprint(1)\n</end_code>", "print(1)"),
        ("Code:\n```py\nprint(1)\n```\nObservation: 1\nThought: so\nCode:\n```py\nfinal_answer(1)\n```", "print(1)"),
        ("<|python_start|>print(1)<|python_end|>", "print(1)"),
        ("print(1)", "print(1)"),
        ("The answer to your question is Paris.", None),
    ],
    "Mistral": [
        ("[THINK]Try <code>bad()</code>.[/THINK]I print.\n<code>\nprint(1)\n</code>", "print(1)"),
        ("Thought: Je calcule.\n```python\nprint('été')\n```", "print('été')"),
        ("~~~python\nprint(1)\n~~~", "print(1)"),
        ("Sure! Here's the code:\n\n```python\r\nprint(1)\r\n```\r\n", "print(1)"),
        ("1. I print:\n   ```python\n   print(1)\n   ```", "print(1)"),
        ("<code>\nprint(1)\n```", "print(1)"),
        ("```python\nprint(1)\n</code>", "print(1)"),
        ("```bash\npip install x\n```\n```python\nprint(1)\n```", "print(1)"),
    ],
    "Gemini": [
        ('```tool_code\nprint(w(city="Oslo"))\n```', 'print(w(city="Oslo"))'),
        ("<tool_code>\nprint(1)\n</tool_code>", "print(1)"),
        ("I will look.\n\n```tool_code\nx = 1\nprint(x)\n```\n```tool_outputs\n1\n```", "x = 1\nprint(x)"),
        ('<code>\nprint(f"{\'a\' + "b"}")\n</code>', 'print(f"{\'a\' + "b"}")'),
        ("Thought: I print.\n```python\nprint(1)\n```\n**Note:** that is all.", "print(1)"),
        ("<execute_python>\nprint(1)\n</execute_python>", "print(1)"),
        ("thought\nI should print.\n\n<code>\nprint(1)\n</code>", "print(1)"),
        ('```json\n{"answer": 4}\n```', None),
    ],
}

CALLS: dict[str, list[tuple[str, Calls | None]]] = {
    "OpenAI": [
        (
            '{"tool_uses": [{"recipient_name": "functions.w", "parameters": {"city": "Oslo"}}, {"recipient_name": "functions.now", "parameters": {}}]}',
            [("w", {"city": "Oslo"}), ("now", {})],
        ),
        (
            '<|channel|>commentary to=functions.w <|constrain|>json<|message|>{"city": "Oslo"}<|call|>',
            [("w", {"city": "Oslo"})],
        ),
        ('```json\n{"name": "w", "arguments": {"city": "Oslo"}}\n```', [("w", {"city": "Oslo"})]),
        ('{"function_call": {"name": "w", "arguments": "{\\"city\\": \\"Oslo\\"}"}}', [("w", {"city": "Oslo"})]),
    ],
    "Anthropic": [
        (
            '<function_calls>\n<invoke name="w">\n<parameter name="city">Oslo</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n</function_calls>',
            [("w", {"city": "Oslo", "days": 2})],
        ),
        ('{"type": "tool_use", "id": "t1", "name": "w", "input": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
        ("I have what I need: it is sunny.", None),
    ],
    "Qwen": [
        (
            '<tool_call>\n{"name": "w", "arguments": {"city": "Oslo"}}\n</tool_call>\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
            [("w", {"city": "Oslo"}), ("now", {})],
        ),
        (
            '<think>\nI call {"name": "now", "arguments": {}}?\n</think>\n<tool_call>\n{"name": "w", "arguments": {"city": "Oslo"}}\n</tool_call>',
            [("w", {"city": "Oslo"})],
        ),
        ('✿FUNCTION✿: w\n✿ARGS✿: {"city": "Oslo"}', [("w", {"city": "Oslo"})]),
    ],
    "DeepSeek-R1": [
        (
            '<think>a</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>w\n```json\n{"city": "Oslo"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
            [("w", {"city": "Oslo"})],
        ),
        (
            '<think>{"name": "now", "arguments": {}}</think>{"name": "w", "arguments": {"city": "Oslo"}}',
            [("w", {"city": "Oslo"})],
        ),
        ('<think>never ends {"name": "now", "arguments": {}}', None),
    ],
    "Llama": [
        ('<|python_tag|>{"type": "function", "name": "w", "parameters": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
        ('{"type": "function", "function": "w", "parameters": {"city": "Oslo"}}', [("w", {"city": "Oslo"})]),
        ('<function=w>{"city": "Oslo"}</function><|eom_id|>', [("w", {"city": "Oslo"})]),
        ('[w(city="Oslo", days=2)]', [("w", {"city": "Oslo", "days": 2})]),
    ],
    "Mistral": [
        ('[TOOL_CALLS] [{"name": "w", "arguments": {"city": "Oslo"}, "id": "abc123456"}]', [("w", {"city": "Oslo"})]),
        ('[TOOL_CALLS]w[CALL_ID]abc123456[ARGS]{"city": "Oslo"}', [("w", {"city": "Oslo"})]),
        ("Action:\n{'name': 'w', 'arguments': {'city': 'Oslo'}}", [("w", {"city": "Oslo"})]),
    ],
    "Gemini": [
        ('```tool_code\nprint(default_api.w(city="Oslo"))\n```', [("w", {"city": "Oslo"})]),
        ('{"functionCall": {"name": "w", "args": {"city": "Oslo"}}}', [("w", {"city": "Oslo"})]),
        ('```tool_code\nw(city="Oslo")\nnow()\n```', [("w", {"city": "Oslo"}), ("now", {})]),
    ],
}
