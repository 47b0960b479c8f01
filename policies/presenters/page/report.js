
{
  const choices = ["outcome", "severity", "door"].map(byId);
  const controls = [...document.querySelectorAll("#controls details")].map((element) => ({
    element,
    text: element.textContent.toLowerCase().replace(/\s+/g, " "),
    values: [element.dataset.outcome, element.dataset.severity, element.parentElement.dataset.door],
  }));

  const filter = () => {
    const words = wordsOf(byId("words"));
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

  setUpFilter(byId("filter"), filter);
  byId("open").addEventListener("click", () => setOpen(true));
  byId("close").addEventListener("click", () => setOpen(false));
}
