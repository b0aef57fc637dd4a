// One slide at a time: keys, clicks, swipes, and text that shrinks until it fits.
(() => {
  const slides = [...document.querySelectorAll("section")];
  const SMALLEST = 0.4;
  const bar = document.createElement("div");
  let here = 0;
  let touch = null;

  function overflows(content) {
    return content.scrollHeight > content.clientHeight + 1 || content.scrollWidth > content.clientWidth + 1 ||
      [...content.querySelectorAll("pre, .words, math")].some((part) => part.scrollWidth > part.clientWidth + 1);
  }

  function fit(slide) {
    const content = slide.querySelector(".content");
    for (const formula of content.querySelectorAll(".formula")) { // a wide one shrinks alone
      formula.style.fontSize = "";
      const size = Math.min(1, (formula.clientWidth - 1) / formula.scrollWidth);
      if (size < 1) formula.style.fontSize = `${size.toFixed(3)}em`;
    }
    for (let size = 1; size >= SMALLEST; size -= 0.04) {
      content.style.setProperty("--fit", size.toFixed(2));
      if (!overflows(content)) return;
    }
  }

  function show(number) {
    slides[here].classList.remove("here");
    here = Math.max(0, Math.min(slides.length - 1, number));
    slides[here].classList.add("here");
    slides[here].focus({ preventScroll: true });
    bar.style.width = `${(100 * (here + 1)) / slides.length}%`;
    history.replaceState(null, "", `#${here + 1}`);
  }

  const STEPS = {
    ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, Enter: 1,
    ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Backspace: -1,
    Home: -Infinity, End: Infinity,
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in STEPS)) return;
    event.preventDefault();
    show(here + (event.shiftKey ? -STEPS[event.key] : STEPS[event.key]));
  });
  addEventListener("click", (event) => {
    if (String(getSelection())) return; // somebody marks words
    show(here + (event.clientX < innerWidth / 4 ? -1 : 1));
  });
  addEventListener("touchstart", (event) => { touch = event.changedTouches[0].clientX; }, { passive: true });
  addEventListener("touchend", (event) => {
    const moved = event.changedTouches[0].clientX - touch;
    if (Math.abs(moved) > 40) show(here + (moved < 0 ? 1 : -1));
  });
  addEventListener("resize", () => slides.forEach(fit));
  addEventListener("hashchange", () => show((parseInt(location.hash.slice(1), 10) || 1) - 1));

  bar.className = "progress";
  document.body.append(bar);
  document.documentElement.classList.add("deck");
  show((parseInt(location.hash.slice(1), 10) || 1) - 1);
  slides.forEach(fit);
})();
