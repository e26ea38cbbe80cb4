// Runs the nets beside the page, so that it stays responsive. crop.js and faces.js are in the same script.
"use strict";

let ort, nets, faces, set, photo;

async function start({ runtime, wasm, chain, yunet, settings }) {
  // Made here, because a worker of a page from a file may not load what the page has made.
  ort = await import(URL.createObjectURL(new Blob([runtime], { type: "text/javascript" })));
  ort.env.wasm.numThreads = 1; // more need headers that a file does not have
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = "error";
  set = settings;
  const options = { executionProviders: ["wasm"] };
  nets = await ort.InferenceSession.create(new Uint8Array(chain), options);
  faces = yunet ? await ort.InferenceSession.create(new Uint8Array(yunet), options) : null;
}

const seen = (data, rows, columns) => faces.run({ [faces.inputNames[0]]: new ort.Tensor("float32", data, [1, 3, rows, columns]) });

// The boxes and the keypoints, pixels of the photograph; find: search for faces instead of using the boxes.
async function predict({ boxes, find, quick }) {
  const began = performance.now();
  const found = find ? await facesIn(photo, seen, set.detector, quick) : boxes;
  const detected = performance.now();
  const size = [photo.width, photo.height];
  const squares = found.map((box) => squareOf(box, size, set.margin));
  const keypoints = [];
  for (const square of squares) {
    const crop = cut(photo, square, set.side, set.channels);
    const shape = [1, set.side, set.side, ...(set.channels === 3 ? [3] : [])];
    const { data } = (await nets.run({ images: new ort.Tensor("uint8", crop, shape) })).keypoints;
    const scale = square[2] / set.side;
    keypoints.push(set.names.map((_, k) => [data[2 * k] * scale + square[0], data[2 * k + 1] * scale + square[1]]));
  }
  return { boxes: found, squares, keypoints, detecting: detected - began, predicting: performance.now() - detected };
}

self.onmessage = async ({ data: { id, what, ...request } }) => {
  try {
    if (request.photo) photo = { ...request.photo, data: new Uint8ClampedArray(request.photo.data) };
    self.postMessage({ id, result: await (what === "start" ? start(request) : predict(request)) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
