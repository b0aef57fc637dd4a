// A button that takes a picture from the reader's disk. The browser itself turns it upright, crops it to a square and
// shrinks it before it is sent: a photograph as it comes from a camera is larger than a notebook's connection may carry.

const SIDE = 256;

async function squareOf(file) {
  const picture = await createImageBitmap(file); // turned as its EXIF data say
  const side = Math.min(picture.width, picture.height);
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind transparent parts
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  picture.close();
  return (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer();
}

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Use your own picture";
  button.setAttribute("data-lm-suppress-shortcuts", "true");
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  input.hidden = true;
  input.setAttribute("aria-label", "Your own picture");
  const message = document.createElement("span");
  message.setAttribute("role", "status");
  const root = document.createElement("div");
  root.className = "upload";
  root.append(button, input, message);
  el.replaceChildren(root);
  root.hidden = document.documentElement.dataset.kernel === "none"; // nobody there to take it

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const file = input.files[0];
    input.value = ""; // so that the same file can be chosen again
    if (!file) return;
    message.textContent = `Reading ${file.name}`;
    try {
      model.send({ name: file.name }, undefined, [await squareOf(file)]);
    } catch {
      message.textContent = `${file.name} is not a picture that this browser can open: choose a PNG or JPEG file.`;
    }
  });
  const tell = () => { message.textContent = model.get("message"); };
  model.on("change:message", tell);
  return () => model.off("change:message", tell);
}

export default { render };
