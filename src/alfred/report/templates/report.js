(() => {
  "use strict";
  const root = document.documentElement;
  const PHONE = 600;
  const SHEET = 680; // What fits between the margins of A4 and of letter paper.
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");

  // Theme: the reader's choice where there is one, otherwise the system's.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("alfred-theme"); } catch { return null; } };
  let chosen = remembered();
  let printing = false;
  const applyTheme = () => {
    root.dataset.theme = printing ? "light" : chosen || (system.matches ? "dark" : "light");
    document.querySelectorAll("[data-colour]").forEach((mark) => {
      const colour = resolve(mark.dataset.colour);
      if (mark.tagName === "SPAN") mark.style.background = colour; else mark.style.color = colour;
    });
  };

  // "@s0" is the theme's colour --s0, "@s0/0.2" the same with an opacity.
  function resolve(token) {
    const found = /^@([a-z0-9-]+)(?:\/([\d.]+))?$/.exec(token);
    if (!found) return token;
    if (found[1] === "none") return "rgba(0,0,0,0)";
    const hex = getComputedStyle(root).getPropertyValue(`--${found[1]}`).trim();
    if (!found[2]) return hex;
    const part = (at) => parseInt(hex.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${found[2]})`;
  }
  const coloured = (value, key) => {
    if (Array.isArray(value)) return value.map((inner) => coloured(inner, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, coloured(inner, name)]));
    }
    return typeof value === "string" && /color$/i.test(key || "") ? resolve(value) : value;
  };

  // Plots.
  const shown = {};
  const put = (target, path, value) => {
    const names = path.split(".");
    const last = names.pop();
    names.reduce((at, name) => (at[name] ??= {}), target)[last] = value;
  };
  const draw = (id) => {
    const figure = figures[id];
    const box = document.getElementById(id);
    const phone = box.clientWidth < PHONE;
    const layout = coloured(figure.layout);
    layout.height = phone ? figure.phoneHeight : figure.height;
    layout.width = printing ? Math.min(box.clientWidth, SHEET) : box.clientWidth;
    layout.font.family = getComputedStyle(document.body).fontFamily;
    if (phone) {
      layout.font.size = 11.5;
      Object.entries(figure.phone).forEach(([path, value]) => put(layout, path, coloured(value)));
    }
    const keys = shown[id];
    const data = coloured(figure.data).map((trace) => (
      trace.meta && keys ? { ...trace, visible: keys.has(trace.meta) } : trace
    ));
    const config = { displayModeBar: false, displaylogo: false, showTips: false, scrollZoom: false };
    box.style.minHeight = `${layout.height}px`;
    return Plotly.react(box, data, layout, config).then(() => { box.dataset.drawn = root.dataset.theme; });
  };
  const ids = Object.keys(figures);
  const drawAll = async () => {
    for (const id of ids) {
      await draw(id);
      await new Promise((done) => setTimeout(done));
    }
    root.dataset.plots = ids.filter((id) => document.getElementById(id).dataset.drawn).length;
  };

  document.querySelectorAll(".plot").forEach((frame) => {
    const id = frame.dataset.plot;
    const one = figures[id].pick === "one";
    const keys = [...frame.querySelectorAll("[data-key]")];
    if (!keys.length) return;
    const collect = () => {
      shown[id] = new Set(keys.filter((key) => key.getAttribute("aria-pressed") === "true").map((key) => key.dataset.key));
    };
    const press = (key, on) => key.setAttribute("aria-pressed", String(on));
    keys.forEach((key) => key.addEventListener("click", () => {
      if (one) keys.forEach((other) => press(other, other === key));
      else press(key, key.getAttribute("aria-pressed") !== "true");
      collect();
      draw(id);
    }));
    frame.querySelectorAll("[data-all]").forEach((preset) => preset.addEventListener("click", () => {
      keys.forEach((key) => press(key, preset.dataset.all === "true"));
      collect();
      draw(id);
    }));
    collect();
  });

  // The dash patterns of the legend match plotly's.
  const DASHES = { dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "9 4", longdashdot: "9 3 2 3" };
  document.querySelectorAll("svg[data-dash]").forEach((mark) => {
    const dash = DASHES[mark.dataset.dash];
    if (dash) mark.firstElementChild.setAttribute("stroke-dasharray", dash);
  });

  // Tables sort by a click on their heading; values that are absent stay last.
  const compare = (a, b, numeric, sign) => {
    if (!numeric) return sign * a.localeCompare(b, undefined, { numeric: true });
    const [x, y] = [a, b].map((text) => (text === "" ? NaN : Number(text)));
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => head.querySelector("button")?.addEventListener("click", () => {
      const numeric = head.classList.contains("n");
      const before = head.getAttribute("aria-sort");
      const down = before === "none" ? numeric : before === "ascending";
      heads.forEach((other) => { if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => (numeric ? row.cells[at].dataset.sort : row.cells[at].textContent);
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compare(value(a), value(b), numeric, down ? -1 : 1));
      table.tBodies[0].append(...rows);
    }));
  });

  // Navigation follows the reading.
  const links = new Map([...document.querySelectorAll('.bar nav a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
  const follow = () => {
    let current = "";
    links.forEach((link, id) => { if (document.getElementById(id).getBoundingClientRect().top < innerHeight * 0.35) current = id; });
    links.forEach((link, id) => {
      if (id === current && !link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        link.parentElement.scrollTo({ left: link.offsetLeft - link.parentElement.offsetLeft - 40 });
      } else if (id !== current) link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", () => requestAnimationFrame(follow), { passive: true });
  const here = document.querySelector('.bar nav [aria-current="page"]');
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;

  // Plots follow theme, width and print.
  const restyle = () => { applyTheme(); return drawAll(); };
  document.getElementById("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("alfred-theme", chosen); } catch { /* a file opened without storage */ }
    restyle();
  });
  system.addEventListener("change", restyle);
  addEventListener("beforeprint", () => { printing = true; applyTheme(); ids.forEach(draw); });
  addEventListener("afterprint", () => { printing = false; restyle(); });
  let width = innerWidth;
  let waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 120);
  });
  follow();
  restyle();
})();
