// A slider over frames, and a button that plays them. draw(frame) shows a frame and gives the words for it; tell() gives
// the words that a screen reader hears when a change that the slider did not speak of itself has come to rest.

const FRAMES_PER_SECOND = 12;
const SETTLED_MS = 600;
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  next: "M3 2.5v11l7.5-5.5zM11 2.5h2.2v11H11z",
};

function makePlayer({ draw, tell, name = "Frame" }) {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const shape = make("path");
  const button = control("button", { type: "button", class: "play" },
    make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, shape));
  const slider = control("input", { type: "range", min: 0, step: 1, "aria-label": name });
  const status = make("div", { class: "unseen", role: "status", "aria-live": "polite" });
  let [frame, last, timer, settling] = [0, -1, null, null];

  function redraw() {
    const words = draw(frame);
    slider.value = frame;
    slider.setAttribute("aria-valuetext", words);
  }

  function announce() {
    clearTimeout(settling);
    settling = setTimeout(() => {
      if (timer === null && last >= 0) status.textContent = tell();
    }, SETTLED_MS);
  }

  function showButton() {
    const [which, label] = calm.matches ? ["next", "Next frame"] : timer === null ? ["play", "Play"] : ["pause", "Pause"];
    shape.setAttribute("d", ICONS[which]);
    button.setAttribute("aria-label", label);
    button.title = label;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    showButton();
  }

  function go(to) {
    stop();
    frame = Math.min(last, Math.max(0, to));
    redraw();
  }

  // With reduced motion nothing moves by itself: each press shows one more frame.
  function play() {
    if (last < 0) return;
    announce();
    if (calm.matches) return go(frame === last ? 0 : frame + 1);
    if (timer !== null) return stop();
    if (frame === last) frame = 0;
    redraw();
    timer = setInterval(() => {
      if (frame === last) {
        stop();
        announce();
      } else {
        frame += 1;
        redraw();
      }
    }, 1000 / FRAMES_PER_SECOND);
    showButton();
  }

  // True if the key was one of the player's own.
  function key(event) {
    const page = Math.max(1, Math.round(last / 10));
    const moves = {
      ArrowLeft: frame - 1, ArrowDown: frame - 1, ArrowRight: frame + 1, ArrowUp: frame + 1,
      PageDown: frame - page, PageUp: frame + page, Home: 0, End: last,
    };
    if ((event.target === slider || event.target === button) && event.key in moves) go(moves[event.key]);
    else if (event.target === slider && event.key === " ") event.repeat || play();
    else return false;
    return true;
  }

  slider.addEventListener("input", () => last >= 0 && go(Number(slider.value)));
  button.addEventListener("click", play);
  calm.addEventListener("change", stop);
  showButton();

  return {
    button, slider, status, go, redraw, stop, key, announce,
    get frame() { return frame; },
    // Another run of frames: the reader's frame stays if there are as many as before.
    open(count, start) {
      if (count !== last + 1) frame = start;
      last = count - 1;
      slider.max = last;
      redraw();
    },
    close() {
      calm.removeEventListener("change", stop);
      clearInterval(timer);
      clearTimeout(settling);
      last = -1;
    },
  };
}
