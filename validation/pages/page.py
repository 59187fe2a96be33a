"""The frame of every page that is written: one file, no scripts, nothing from elsewhere."""

import html

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f23; background: #fff; margin: 0 auto; max-width: 1100px; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; border-bottom: 1px solid #d0d7de; }
.verdict { background: #eef6f5; border-left: 5px solid #21918c; padding: .7rem 1rem; font-size: 1.05rem; }
.sub { color: #57606a; margin: 0 0 .8rem; }
.numbers { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.numbers div { border: 1px solid #d0d7de; border-radius: 6px; padding: .4rem .8rem; flex: 1 1 150px; }
.numbers b { display: block; font-size: 1.25rem; } .numbers span { color: #57606a; font-size: .85rem; }
img { max-width: 100%; height: auto; } figure { margin: .5rem 0; } figcaption { color: #57606a; font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #eaeef2; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 600px) {
  figure { overflow-x: auto; } figure img { max-width: none; width: 820px; } figcaption { max-width: 90vw; }
  tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid #eaeef2; }
  th, td { border: none; } td:nth-child(3) { grid-column: 1 / -1; color: #57606a; } th:nth-child(3) { display: none; }
}
pre { background: #f6f8fa; padding: .8rem; overflow-x: auto; font-size: .8rem; }
"""


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_CSS}</style></head><body>
<h1>{html.escape(title)}</h1>
{body}</body></html>
"""
