
"use strict";
const byId = (id) => document.getElementById(id);

// The words of a filter, each of which must be there.
const wordsOf = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);

// A filter of its own is shown where there are scripts, and does nothing else when it is sent.
const setUpFilter = (form, filter) => {
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  filter();
};

// The element that an address leads to, as the browser looks for it: by the fragment as it stands, then decoded.
const targetOf = (hash) => {
  const fragment = hash.slice(1);
  try {
    return byId(fragment) || byId(decodeURIComponent(fragment));
  } catch {
    return null;
  }
};

{
  // A link opens all that what it leads to is folded into, and lifts a filter that hides it.
  const follow = () => {
    const target = targetOf(location.hash);
    if (!target) return;
    if (target.closest("[hidden], .away")) document.querySelectorAll("form").forEach((form) => form.reset());
    const inner = target.matches("details") ? target : target.closest("details");
    for (let folded = inner; folded; folded = folded.parentElement.closest("details")) folded.open = true;
    // Filters are lifted in a task of their own.
    setTimeout(() => {
      if (inner && !target.matches("tr")) inner.querySelector("summary").focus({ preventScroll: true });
      target.scrollIntoView();
    });
  };
  addEventListener("hashchange", follow);
  // A link to where the address is already changes nothing in it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && link.getAttribute("href") === location.hash) follow();
  });
  // Not before: the browser goes to the target itself while it loads, and takes the focus away.
  addEventListener("load", () => { if (location.hash) follow(); });

  document.addEventListener("keydown", (event) => {
    const words = document.querySelector("form:not([hidden]) input[type=search]");
    if (event.key === "/" && words && !event.target.closest("input:not([type=radio]), select, textarea")) {
      event.preventDefault();
      words.focus();
    }
  });

  // Paper shows everything; afterwards the page is as it was.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((folded) => { folded.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((folded) => { folded.open = false; }));
}
