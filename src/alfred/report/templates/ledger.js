(() => {
  "use strict";
  const LINES = 200;

  // Ledger: thousands of lines, drawn a screenful at a time.
  const book = JSON.parse(document.getElementById("ledger-data").textContent);
  const bookTable = document.getElementById("ledger-table");
  if (bookTable) {
    const [select, search] = ["ledger-portfolio", "ledger-search"].map((id) => document.getElementById(id));
    const more = document.getElementById("ledger-more");
    const { portfolio, date, action, symbol, price, reading, profit } = book.columns;
    const number = (value, digits) => (value === null ? "–" : value.toLocaleString("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: digits,
    }).replace("-", "−"));
    const text = date.map((day, at) => (
      `${day} ${book.actions[action[at]]} ${book.symbols[symbol[at]]}`.toLowerCase().replaceAll("_", " ")
    ));
    let found = [];
    let drawn = 0;
    const line = (at) => {
      const row = document.createElement("tr");
      const cell = (content, kind) => {
        const made = document.createElement("td");
        made.textContent = content;
        if (kind) made.className = kind;
        row.append(made);
      };
      cell(date[at]);
      cell(book.actions[action[at]]);
      cell(book.symbols[symbol[at]]);
      cell(number(price[at], 2), "n");
      cell(number(reading[at], 4), "n");
      cell(number(profit[at], 2), profit[at] < 0 ? "n loss" : "n");
      cell(book.portfolios[portfolio[at]]);
      return row;
    };
    const extend = () => {
      bookTable.tBodies[0].append(...found.slice(drawn, drawn + LINES).map(line));
      drawn = Math.min(found.length, drawn + LINES);
      more.hidden = drawn === found.length;
      const total = found.length.toLocaleString("en-US");
      document.getElementById("ledger-count").textContent = drawn < found.length
        ? `first ${drawn.toLocaleString("en-US")} of ${total} lines` : `${total} ${found.length === 1 ? "line" : "lines"}`;
    };
    const filter = () => {
      const words = search.value.toLowerCase().replaceAll("_", " ").split(/\s+/).filter(Boolean);
      const wanted = select.value === "" ? null : Number(select.value);
      found = [];
      text.forEach((entry, at) => {
        if ((wanted === null || portfolio[at] === wanted) && words.every((word) => entry.includes(word))) found.push(at);
      });
      drawn = 0;
      bookTable.tBodies[0].replaceChildren();
      extend();
    };
    select.addEventListener("change", filter);
    search.addEventListener("input", filter);
    document.getElementById("ledger-controls").addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", extend);
    filter();
  }
})();
