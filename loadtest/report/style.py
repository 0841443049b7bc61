"""How a report looks: light, dark and on paper. Pure.

The colours of lines are those of Okabe and Ito, which people with any colour vision can tell apart,
some made darker or lighter to stand out: the dark ones come first on white, the light ones on
black.
"""

from typing import Final

_LIGHT: Final = """
color-scheme:light;--page:#fff;--text:#16191d;--dim:#565d66;--rule:#d9dde2;--grid:#e7eaee;
--panel:#f5f7f9;--good:#00664b;--bad:#a33e00;--limit:#a33e00;--band:#8a929b;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#a8568a;--c4:#b87900;--c5:#16191d;
"""
_DARK: Final = """
color-scheme:dark;--page:#15181c;--text:#e9ecef;--dim:#a4acb5;--rule:#3a4149;--grid:#2a3037;
--panel:#1e2328;--good:#3fc79a;--bad:#ff9a52;--limit:#ff9a52;--band:#7a838d;
--c0:#56b4e9;--c1:#e69f00;--c2:#2bc492;--c3:#cc79a7;--c4:#f0e442;--c5:#e9ecef;
"""

STYLE: Final = (
    f":root{{{_LIGHT}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:28px 20px 40px}
h1{font-size:2.1rem;line-height:1.15;margin:.1em 0 .3em}
h2{font-size:1.2rem;margin:2.2em 0 .5em;padding-top:.7em;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1.4em 0 .4em}
p{margin:.4em 0;max-width:46em}
.above,.dim,figcaption span,footer{color:var(--dim)}
.above{margin:0;font-size:.9rem;max-width:none}
.headline{font-size:1.1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;
margin:1.1em 0}
.tiles div{background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:9px 12px}
.tiles dt{font-size:.8rem;color:var(--dim)}
.tiles dd{margin:0;font-size:1.25rem;font-weight:600}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.3em 1.2em;margin:1em 0}
.facts dt{font-weight:600}
.facts dd{margin:0;max-width:44em;grid-column:2}
.settings{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));
gap:0 28px;font-size:.88rem;margin:.5em 0}
.settings div{display:grid;grid-template-columns:13.5em 1fr;gap:.8em;padding:.2em 0;
border-bottom:1px solid var(--grid);break-inside:avoid}
.settings dt{color:var(--dim)}
.settings dd{margin:0;min-width:0}
.warnings{border-left:4px solid var(--bad);background:var(--panel);margin:1em 0;
padding:.5em 1em .5em 2em}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr));
gap:22px 28px}
.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:16px 20px}
figure{margin:0;min-width:0;break-inside:avoid}
figcaption{font-size:.9rem;font-weight:600;line-height:1.35}
figcaption span{font-weight:400;display:block;font-size:.82rem}
svg{display:block;width:100%;height:auto;margin-top:4px}
svg text{font-size:11px;fill:var(--text);font-family:inherit}
svg .tick{fill:var(--dim)}
svg .note{fill:var(--text);paint-order:stroke;stroke:var(--page);stroke-width:3px;
stroke-linejoin:round}
svg .middle{text-anchor:middle}
svg .end{text-anchor:end}
.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--dim);fill:none}
.limit{stroke:var(--limit);stroke-width:1.5;stroke-dasharray:8 3 2 3 2 3;fill:none}
.at{stroke:var(--dim);stroke-width:1;stroke-dasharray:1 3;fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.point{stroke-width:1.4}
.band{fill:var(--band);fill-opacity:.3;stroke:var(--band);stroke-width:1}
.sample{stroke-width:7;stroke-opacity:.45}
.faint{stroke:var(--band);stroke-width:.9;stroke-opacity:.7}
.point.faint{fill:var(--band)}
.bar{fill:var(--c0)}
.striking{fill:var(--c1)}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}
.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.point.s0{fill:var(--c0)}.point.s1{fill:var(--c1)}.point.s2{fill:var(--c2)}
.point.s3{fill:var(--c3)}.point.s4{fill:var(--c4)}.point.s5{fill:var(--c5)}
.point.open{fill:var(--page)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;margin:.5em 0}
th,td{padding:.25em .8em .25em 0;text-align:right;vertical-align:top;
border-bottom:1px solid var(--grid)}
th{font-weight:600;white-space:nowrap}
thead th{border-bottom-color:var(--rule)}
td.figure{white-space:nowrap}
.words{text-align:left}
td.words:last-child{min-width:17em}
.met{color:var(--good);font-weight:600}
.missed{color:var(--bad);font-weight:600}
footer{margin-top:2.5em;border-top:1px solid var(--rule);padding-top:.8em;font-size:.82rem}
@media (max-width:640px){.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:.6em;grid-column:1}
h1{font-size:1.7rem}}
@media print{@page{margin:14mm}html{font-size:12px}
body{font-size:9.5pt}main{padding:0;max-width:none}
.plots{grid-template-columns:1fr 1fr}.small{grid-template-columns:1fr 1fr 1fr}
.settings{grid-template-columns:1fr 1fr}
.wide{overflow:visible}table{font-size:8pt}h2,h3,thead{break-after:avoid}tr{break-inside:avoid}
.tiles{grid-template-columns:repeat(5,1fr)}.tiles div,.warnings,svg{print-color-adjust:exact}}
"""
)
