// Finds faces with YuNet, as pipeline/inference/detectors/yunet.py does with OpenCV's FaceDetectorYN:
// https://github.com/opencv/opencv/blob/4.x/modules/objdetect/src/face_detect.cpp
"use strict";

const STRIDES = [8, 16, 32];
const GAP = 3; // means of squares of pixels replace the image where this leaves at least so many for each new pixel, as in Pillow

// What YuNet sees of a photograph whose size is multiplied by a factor: blue, green and red planes, padded to multiples of 32, `least` or more.
function planes(photo, factor, least) {
  const [width, height] = [photo.width, photo.height].map((length) => Math.max(1, Math.round(length * factor)));
  const image = padded(photo, [0, 0], [photo.width, photo.height], 3);
  const times = [photo.width / width, photo.height / height].map((scale) => Math.max(1, Math.floor(scale / GAP)));
  const { image: near, size } = reduced(image, [photo.width, photo.height], 3, times);
  const small = resampled(near, size, 3, [0, 0, photo.width / times[0], photo.height / times[1]], [width, height]);
  const [columns, rows] = [width, height].map((length) => Math.ceil(Math.max(length, least) / 32) * 32);
  const data = new Float32Array(3 * rows * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) data[(c * rows + y) * columns + x] = small[(y * width + x) * 3 + 2 - c];
    }
  }
  return { data, rows, columns };
}

// The finds { box: [x, y, width, height], score } in pixels of what YuNet sees; outputs: its own, by name.
function decoded(outputs, columns, rows, lowest) {
  const found = [];
  for (const stride of STRIDES) {
    const [cls, obj, bbox] = ["cls", "obj", "bbox"].map((name) => outputs[`${name}_${stride}`].data);
    const across = columns / stride;
    for (let cell = 0; cell < across * (rows / stride); cell++) {
      const [one, other] = [cls[cell], obj[cell]].map((value) => Math.min(1, Math.max(0, value)));
      const score = Math.sqrt(one * other);
      if (score < lowest) continue;
      const x = ((cell % across) + bbox[4 * cell]) * stride;
      const y = (Math.floor(cell / across) + bbox[4 * cell + 1]) * stride;
      const [width, height] = [Math.exp(bbox[4 * cell + 2]) * stride, Math.exp(bbox[4 * cell + 3]) * stride];
      found.push({ box: [x - width / 2, y - height / 2, width, height], score });
    }
  }
  return found;
}

// Intersection over union of two boxes.
function overlap([x, y, width, height], [u, v, wide, high]) {
  const both = Math.max(0, Math.min(x + width, u + wide) - Math.max(x, u)) * Math.max(0, Math.min(y + height, v + high) - Math.max(y, v));
  return both / (width * height + wide * high - both);
}

// The best finds, without those that overlap with a better one. As in OpenCV, only whole pixels count.
function distinct(found, most) {
  const kept = [];
  const whole = ({ box }) => box.map(Math.trunc);
  for (const one of [...found].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(whole(one), whole(other)) <= most)) kept.push(one);
  }
  return kept;
}

// Squares (x, y, width, height) around the faces of a photograph, from left to right. seen: a function from `planes` to YuNet's outputs.
async function facesIn(photo, seen, { coarse, fine, large, least, score, overlap: most, frame }, quick) {
  const pass = async (factor) => {
    const { data, rows, columns } = planes(photo, factor, least);
    const found = distinct(decoded(await seen(data, rows, columns), columns, rows, score), most);
    return found.map(({ box }) => ({ box: box.map((value) => value / factor) }));
  };
  const longest = Math.max(photo.width, photo.height);
  let found = await pass((quick ? coarse / 2 : coarse) / longest);
  if (!quick && longest > coarse) {
    const factor = Math.min(1, fine / longest);
    const small = (await pass(factor)).filter(({ box }) => Math.max(box[2], box[3]) * factor < large);
    found = [...small, ...found.filter((one) => small.every((other) => overlap(one.box, other.box) <= most))];
  }
  const squares = found.map(({ box: [x, y, width, height] }) => {
    const side = frame * Math.sqrt(width * height);
    return [x + (width - side) / 2, y + (height - side) / 2, side, side];
  });
  return squares.sort((one, other) => one[0] + one[2] / 2 - other[0] - other[2] / 2);
}
