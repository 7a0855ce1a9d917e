"use strict";
// Tables sort by a click on a heading, and long ones can be filtered. The page works without.
const fewest = 12; // rows of a table that need no filter
const valueOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
};
const isMissing = (value) => value === "–" || value === "" || Number.isNaN(value);
const compare = (a, b) => {
  if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
};
function makeSortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].sort((one, other) => {
        const a = valueOf(one, column), b = valueOf(other, column);
        return isMissing(a) || isMissing(b) ? compare(a, b) : sign * compare(a, b);
      });
      body.append(...rows);
    });
  });
}
function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length <= fewest) return;
  const label = document.createElement("label"), input = document.createElement("input");
  const told = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  label.append("Filter ", input, " ", told);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    told.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilterable(table);
}
