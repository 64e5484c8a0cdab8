"use strict";

// Colours of text follow the page by its style sheet: what is drawn here fits a light and a dark one.
const plots = [...document.querySelectorAll(".plot")];
for (const plot of plots) {
  const figure = JSON.parse(plot.firstElementChild.textContent);
  Plotly.newPlot(plot, figure.data, figure.layout, { displayModeBar: false, responsive: true });
}

const PRINTED = 660; // pixels: of A4 between its margins
addEventListener("beforeprint", () => {
  for (const plot of plots) {
    const width = PRINTED / plot.parentElement.children.length - 8;
    Plotly.relayout(plot, { width, autosize: false });
  }
});
addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
});

// The table of trials: a click on a header sorts, what is typed filters.
const table = document.getElementById("trial-table");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  const number = (text) => (text === "" ? -Infinity : Number(text.replace(/[, %]/g, "")));

  const sort = (column, ascending) => {
    const numeric = rows.every((row) => !Number.isNaN(number(row.cells[column].textContent)));
    const key = (row) => (numeric ? number(row.cells[column].textContent) : row.cells[column].textContent);
    rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (ascending ? 1 : -1));
    body.append(...rows);
    for (const header of headers) header.removeAttribute("aria-sort");
    headers[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  };
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(column, header.getAttribute("aria-sort") !== "ascending"));
  });

  const form = document.querySelector(".filter");
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} trials`;
  };
  filter.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}
