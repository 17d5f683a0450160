// What is wrong with the page that is open, as a list of sentences; see page_faults.py.
(() => {
  const found = new Map();
  const fault = (what, where) => {
    const key = `${what}: ${where}`.replace(/\s+/g, " ").trim();
    found.set(key, (found.get(key) || 0) + 1);
  };
  const root = document.documentElement;
  const named = (e) => e.tagName.toLowerCase() + (e.id ? `#${e.id}` : "") + [...e.classList].map((one) => `.${one}`).join("");
  const inside = (e, selector) => e.closest(selector) !== null;
  const seen = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  // Width: nothing reaches beyond the window but what scrolls in a box of its own.
  if (root.scrollWidth > innerWidth) fault("wider than the window", `${root.scrollWidth} > ${innerWidth}`);
  document.querySelectorAll("main *, footer *").forEach((e) => {
    if (!seen(e) || inside(e, ".scroll, pre, svg, .skip")) return;
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 1 || box.left < -1)) fault("reaches beyond the window", named(e));
  });

  // Plots: drawn, described, no text cut off at the edge or printed over another.
  document.querySelectorAll(".canvas").forEach((canvas) => {
    if (!(canvas.ariaLabel || "").trim()) fault("plot without a description", canvas.id);
    const sheet = canvas.querySelector(".main-svg");
    if (!sheet) { fault("plot not drawn", canvas.id); return; }
    const edge = sheet.getBoundingClientRect();
    if (!edge.width) return;
    const texts = [...canvas.querySelectorAll("svg text")].filter((e) => e.textContent.trim() && seen(e) && !inside(e, ".hoverlayer"))
      .map((e) => [e.textContent, e.getBoundingClientRect()]).filter(([, box]) => box.width);
    texts.forEach(([text, box]) => {
      if (box.left < edge.left - 1 || box.right > edge.right + 1 || box.top < edge.top - 1 || box.bottom > edge.bottom + 1) {
        fault("text cut off at the plot's edge", `${canvas.id} "${text}"`);
      }
    });
    texts.forEach(([one, a], at) => texts.slice(at + 1).forEach(([other, b]) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 2 && down > 3) fault("texts over one another", `${canvas.id} "${one}" and "${other}"`);
    }));
  });

  // Contrast as it comes out: WCAG 2.1, success criterion 1.4.3.
  const parsed = (text) => {
    const numbers = (text.match(/-?[\d.]+(?:e-?\d+)?/g) || []).map(Number);
    const parts = text.startsWith("color(") ? numbers.slice(0, 3).map((one) => one * 255) : numbers.slice(0, 3);
    return [...parts, numbers.length > 3 ? numbers[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const part = (value) => { const share = value / 255; return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || inside(e, "script, style, noscript, .skip") || !seen(e)) continue;
    const style = getComputedStyle(e), drawn = inside(e, "svg");
    const ink = parsed(drawn ? style.fill : style.color), below = ground(drawn ? e.closest(".canvas, button, div") : e);
    ink[3] *= drawn ? Number(style.fillOpacity) : 1;
    const [low, high] = [light(over(ink, below)), light(below)].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) fault(`contrast ${ratio.toFixed(2)}`, `${named(e)} "${e.textContent.slice(0, 40)}"`);
  }

  // Structure: what a reader without eyes or mouse goes by.
  document.querySelectorAll("a[href^='#']").forEach((link) => {
    const id = link.getAttribute("href").slice(1);
    if (id && !document.getElementById(id)) fault("link that leads nowhere", `#${id}`);
  });
  const ids = [...document.querySelectorAll("[id]")].filter((e) => !inside(e, "svg")).map((e) => e.id);
  ids.forEach((id, at) => { if (ids.indexOf(id) !== at) fault("id twice", id); });
  let level = 0;
  document.querySelectorAll("h1, h2, h3, h4").forEach((e) => {
    const own = Number(e.tagName[1]);
    if (!e.textContent.trim()) fault("empty heading", named(e));
    if (own > level + 1) fault("heading skips a level", e.textContent);
    level = own;
  });
  if (document.querySelectorAll("h1").length !== 1) fault("headings of the first level", document.querySelectorAll("h1").length);
  document.querySelectorAll("button, a, input, select, textarea").forEach((e) => {
    const said = e.ariaLabel || e.textContent || [...(e.labels || [])].map((one) => one.textContent).join("");
    if (!said.trim()) fault("control without a name", named(e));
  });
  document.querySelectorAll("img").forEach((e) => { if (!e.alt) fault("picture without a text", e.src); });
  document.querySelectorAll("thead th").forEach((e) => {
    if (!e.textContent.trim()) fault("column without a heading", named(e.closest("table")));
    if (e.scope !== "col") fault("heading that heads nothing", e.textContent);
  });
  document.querySelectorAll("section").forEach((e) => {
    if (seen(e) && ![...e.children].some((one) => !/^H[2-6]$/.test(one.tagName))) fault("section without content", e.id);
  });
  return [...found].map(([text, times]) => (times > 1 ? `${text} (${times} times)` : text));
})()
