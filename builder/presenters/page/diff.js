
{
  const picture = document.querySelector(".picture");
  if (picture) {
    const edges = [...picture.querySelectorAll(".edge")];
    const boxes = [...picture.querySelectorAll(".box")];

    // All edges before or after a box, however far.
    const along = (key, from, to, found = new Set()) => {
      for (const edge of edges) {
        if (edge.dataset[from] === key && !found.has(edge)) {
          found.add(edge);
          along(edge.dataset[to], from, to, found);
        }
      }
      return found;
    };
    const light = (box) => {
      const key = box && box.dataset.key;
      const lit = box ? [...along(key, "start", "end"), ...along(key, "end", "start")] : [];
      picture.classList.toggle("lit", lit.length > 0);
      edges.forEach((edge) => edge.classList.toggle("on", lit.includes(edge)));
      const keys = new Set([key, ...lit.flatMap((edge) => [edge.dataset.start, edge.dataset.end])]);
      boxes.forEach((other) => other.classList.toggle("on", keys.has(other.dataset.key)));
    };
    for (const kind of ["mouseover", "focusin"]) {
      picture.addEventListener(kind, (event) => light(event.target.closest(".box")));
    }
    for (const kind of ["mouseleave", "focusout"]) picture.addEventListener(kind, () => light(null));
  }

  const form = byId("filter");
  if (form) {
    const table = byId("all-files");
    const rows = [...table.querySelectorAll(".chunk > tr")];
    const linkOf = (row) => row.cells[2].querySelector("a");

    // What rows say, lower-cased: read while nobody waits, or when a filter asks.
    const texts = [];
    const read = (until, time) => {
      while (texts.length < until && !(time && time.timeRemaining() < 1)) {
        texts.push(rows[texts.length].textContent.toLowerCase());
      }
    };
    const readIdly = (time) => {
      read(rows.length, time);
      if (texts.length < rows.length) requestIdleCallback(readIdly);
    };
    if (window.requestIdleCallback) requestIdleCallback(readIdly);

    // Matching rows are copied into a table of their own, some at a time: that takes as long for 20 000 files as for 20.
    const STEP = 100;
    const results = table.cloneNode(false);
    results.removeAttribute("id");
    results.setAttribute("aria-label", "Files that match");
    const list = document.createElement("tbody");
    list.setAttribute("role", "rowgroup");
    list.className = "chunk";
    results.append(table.tHead.cloneNode(true), list);
    results.hidden = true;
    const more = Object.assign(document.createElement("button"), { type: "button", hidden: true });
    table.before(results, more);
    let matching = rows;
    const grow = (count = STEP) => {
      const start = list.rows.length;
      list.append(...matching.slice(start, start + count).map((row, index) => {
        const copy = row.cloneNode(true);
        // Row 1 is the heading; readers of the screen count those that are not there yet, too.
        copy.setAttribute("aria-rowindex", start + index + 2);
        for (const element of [copy, ...copy.querySelectorAll("[id]")]) element.removeAttribute("id");
        return copy;
      }));
      const left = matching.length - list.rows.length;
      more.hidden = left <= 0;
      more.textContent = `Show ${Math.min(left, STEP)} more of ${left}`;
      return left < matching.length - start;
    };
    more.addEventListener("click", () => grow());
    new IntersectionObserver((seen) => {
      if (seen.some((entry) => entry.isIntersecting)) grow();
    }, { rootMargin: "600px" }).observe(more);
    addEventListener("beforeprint", () => { if (!results.hidden) grow(matching.length); });

    const filter = () => {
      const [change, area] = [byId("change").value, byId("area").value];
      const noted = byId("noted").checked;
      const words = wordsOf(byId("words"));
      const isOn = Boolean(change || area || noted || words.length);
      if (words.length) read(rows.length);
      matching = !isOn ? rows : rows.filter((row, index) => (!change || row.className === change)
        && (!area || row.cells[1].textContent === area)
        && (!noted || row.cells[2].childElementCount > 1)
        && words.every((word) => texts[index].includes(word)));
      table.classList.toggle("away", isOn);
      results.hidden = !isOn || !matching.length;
      results.setAttribute("aria-rowcount", matching.length + 1);
      list.replaceChildren();
      more.hidden = true;
      if (isOn) grow();
      byId("nothing").hidden = matching.length > 0;
      byId("shown").value = isOn ? `${matching.length} of ${rows.length} files` : `${rows.length} files`;
      rove(isOn ? list.rows[0] : rows[0]);
    };

    // One row takes part in the order of the Tab key; arrows go on from it.
    let current = null;
    const rove = (row) => {
      if (current) linkOf(current).tabIndex = -1;
      current = row;
      if (current) linkOf(current).tabIndex = 0;
    };
    const near = (row, step) => {
      const side = step > 0 ? "nextElementSibling" : "previousElementSibling";
      const chunk = row.parentElement[side];
      if (row[side]) return row[side];
      if (chunk && chunk.matches(".chunk")) return step > 0 ? chunk.firstElementChild : chunk.lastElementChild;
      return step > 0 && list.contains(row) && grow() ? row[side] : null;
    };
    const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity };
    const walk = (event) => {
      const step = STEPS[event.key];
      const row = event.target.closest(".chunk > tr");
      if (!step || !row || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      let found = row;
      for (let left = Math.abs(step), next = near(row, step); left > 0 && next; left -= 1) {
        found = next;
        if (left > 1) next = near(found, step);
      }
      rove(found);
      linkOf(found).focus();
    };
    for (const each of [table, results]) {
      each.addEventListener("keydown", walk);
      each.addEventListener("focusin", (event) => {
        const row = event.target.closest(".chunk > tr");
        if (row && row !== current) rove(row);
      });
    }

    for (const row of rows) linkOf(row).tabIndex = -1;
    setUpFilter(form, filter);
  }
}
