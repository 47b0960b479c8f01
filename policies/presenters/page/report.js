
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filter");
  const choices = ["outcome", "severity", "door"].map(byId);
  const controls = [...document.querySelectorAll("#controls details")].map((element) => ({
    element,
    text: element.textContent.toLowerCase().replace(/\s+/g, " "),
    values: [element.dataset.outcome, element.dataset.severity, element.parentElement.dataset.door],
  }));

  const filter = () => {
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { element, text, values } of controls) {
      const matches = words.every((word) => text.includes(word))
        && choices.every((choice, index) => !choice.value || choice.value === values[index]);
      element.hidden = !matches;
      shown += matches;
    }
    for (const door of document.querySelectorAll("#controls .door")) {
      door.hidden = !door.querySelector("details:not([hidden])");
    }
    byId("nothing").hidden = shown > 0;
    byId("shown").value = shown === controls.length ? `${shown} controls` : `${shown} of ${controls.length} controls`;
  };

  const setOpen = (open) => {
    for (const { element } of controls) {
      if (!element.hidden) element.open = open;
    }
  };

  // A link to a control opens it, and lifts a filter that hides it.
  const follow = () => {
    const target = byId(location.hash.slice(1));
    const control = target && target.closest("details");
    if (target && target.closest("[hidden]")) {
      form.reset();
    }
    if (control) {
      control.open = true;
      control.querySelector("summary").focus({ preventScroll: true });
    }
    if (target) target.scrollIntoView();
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  byId("open").addEventListener("click", () => setOpen(true));
  byId("close").addEventListener("click", () => setOpen(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      byId("words").focus();
    }
  });

  // Paper shows everything; afterwards the page is as it was.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = controls.filter(({ element }) => !element.open);
    closed.forEach(({ element }) => { element.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach(({ element }) => { element.open = false; }));

  addEventListener("hashchange", follow);
  // Not before: the browser goes to the target itself while it loads, and takes the focus away.
  addEventListener("load", () => { if (location.hash) follow(); });
  form.hidden = false;
  filter();
})();
