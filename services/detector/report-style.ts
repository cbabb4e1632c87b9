/** The look of the report: quiet, readable in light and dark, and on paper. */
export const REPORT_STYLE = `
:root{--ink:#1f2933;--soft:#66707c;--page:#f3f5f7;--card:#fff;--edge:#d9dee4;--ours:#2b8a3e;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--page:#14181d;--card:#1d232a;--edge:#323b45;--ours:#69db7c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:36px 0 12px}
header p,footer,small{color:var(--soft)}header p{margin:4px 0 24px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:14px}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px 18px;display:flex;flex-direction:column}
.tile b{font-size:24px;line-height:1.25}.tile.ours b{color:var(--ours)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--edge);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:8px 12px;vertical-align:top;white-space:nowrap}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--edge)}
tr+tr td{border-top:1px solid var(--edge)}
td.name{font-weight:600;max-width:220px;overflow:hidden;text-overflow:ellipsis}td.never{color:var(--soft)}
a{color:inherit}small{font-size:12px}
.chip{display:inline-block;border-radius:99px;padding:0 9px;font-size:13px;font-weight:600;background:#e7eaee;color:#3e4c59}
.chip.leak{background:#c92a2a;color:#fff}.chip.was-leak{background:#ffe3e3;color:#a61e1e}
.chip.undecided{background:#fff3bf;color:#7c5800}.chip.growing{background:#dbe9f9;color:#1a5696}.chip.steady{background:#d8f5df;color:#1e6b31}
.spark path{fill:none;stroke:var(--soft);stroke-width:1.5}.spark{display:block}
.card{margin-top:28px;max-width:800px}.card p{margin:0 0 8px}
.card svg{display:block;width:100%;height:auto}
footer{margin-top:40px;font-size:13px;max-width:800px}
@media print{body{background:#fff}.card{break-inside:avoid}}
`;
