// Cuts squares out of a photograph exactly as pipeline/geometry/crops.py does, to the grey level. The resampling is Pillow's bilinear one:
// https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
"use strict";

const PRECISION = 2 ** 22; // weights are integers with this denominator

// The square (x, y, side) that the nets see of a box (x, y, width, height); without a box, the smallest one around the whole photograph.
function squareOf(box, size, margin) {
  const [x, y, width, height] = box ?? [0, 0, ...size];
  const side = Math.max(width, height);
  const square = [x + (width - side) / 2, y + (height - side) / 2, side];
  if (!box) return square;
  const grown = (side * (margin - 1)) / 2;
  return [square[0] - grown, square[1] - grown, side + 2 * grown];
}

// For each of `count` new pixels: the first old pixel that it depends on, and the weights of this one and the following ones.
function weightsOf(length, start, end, count) {
  const from = Math.fround(start);
  const scale = Math.fround(Math.fround(end) - from) / count; // Pillow takes the box as 32-bit numbers
  const stretch = Math.max(scale, 1);
  const found = [];
  for (let pixel = 0; pixel < count; pixel++) {
    const centre = from + (pixel + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + stretch + 0.5));
    const weights = [];
    let total = 0;
    for (let old = first; old < last; old++) {
      const weight = Math.max(0, 1 - Math.abs((old - centre + 0.5) * (1 / stretch)));
      weights.push(weight);
      total += weight;
    }
    found.push({ first, weights: Int32Array.from(weights, (weight) => Math.trunc(0.5 + (weight / (total || 1)) * PRECISION)) });
  }
  return found;
}

// One pass along the rows: an image with `width` and `channels` becomes one with as many columns as there are weights.
function alongRows(image, width, height, channels, weights) {
  const result = new Uint8Array(height * weights.length * channels);
  let place = 0;
  for (let row = 0; row < height; row++) {
    for (const { first, weights: own } of weights) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = PRECISION / 2;
        let from = (row * width + first) * channels + channel;
        for (let k = 0; k < own.length; k++, from += channels) sum += image[from] * own[k];
        result[place++] = Math.min(255, sum >> 22);
      }
    }
  }
  return result;
}

// The same pass along the columns.
function alongColumns(image, width, channels, weights) {
  const row = width * channels;
  const result = new Uint8Array(weights.length * row);
  weights.forEach(({ first, weights: own }, y) => {
    for (let x = 0; x < row; x++) {
      let sum = PRECISION / 2;
      for (let k = 0; k < own.length; k++) sum += image[(first + k) * row + x] * own[k];
      result[y * row + x] = Math.min(255, sum >> 22);
    }
  });
  return result;
}

// Resamples the part [left, right) x [top, bottom) of an image to width x height pixels.
function resampled(image, size, channels, [left, top, right, bottom], [width, height]) {
  const rows = alongRows(image, size[0], size[1], channels, weightsOf(size[0], left, right, width));
  return alongColumns(rows, width, channels, weightsOf(size[1], top, bottom, height));
}

// An image whose pixels are the means of `across` x `down` pixels, of fewer at the right and lower edge. The rounding is that of Pillow:
// https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Reduce.c
function reduced(image, [width, height], channels, [across, down]) {
  if (across === 1 && down === 1) return { image, size: [width, height] };
  const size = [Math.ceil(width / across), Math.ceil(height / down)];
  const result = new Uint8Array(size[0] * size[1] * channels);
  let place = 0;
  for (let y = 0; y < height; y += down) {
    const rows = Math.min(down, height - y);
    for (let x = 0; x < width; x += across) {
      const columns = Math.min(across, width - x);
      const area = rows * columns;
      for (let channel = 0; channel < channels; channel++) {
        let sum = area >> 1;
        for (let row = y; row < y + rows; row++) {
          const first = (row * width + x) * channels + channel;
          for (let k = 0; k < columns * channels; k += channels) sum += image[first + k];
        }
        result[place++] = Math.floor((sum * Math.floor(2 ** 24 / area)) / 2 ** 24);
      }
    }
  }
  return { image: result, size };
}

// The pixels [low, high) of a photograph { data: RGBA, width, height }, with the pixels at its edges repeated outside; grey or RGB.
function padded(photo, low, high, channels) {
  const last = [photo.width, photo.height].map((length, axis) => {
    const first = Math.min(Math.max(low[axis], 0), length - 1);
    return [first, Math.min(Math.max(high[axis], first + 1), length) - 1];
  });
  const [width, height] = [high[0] - low[0], high[1] - low[1]];
  const image = new Uint8Array(width * height * channels);
  let place = 0;
  for (let y = low[1]; y < high[1]; y++) {
    const row = Math.min(Math.max(y, last[1][0]), last[1][1]) * photo.width;
    for (let x = low[0]; x < high[0]; x++) {
      const from = 4 * (row + Math.min(Math.max(x, last[0][0]), last[0][1]));
      const [red, green, blue] = [photo.data[from], photo.data[from + 1], photo.data[from + 2]];
      if (channels === 1) image[place++] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // ITU-R BT.601, as Pillow
      else {
        image[place++] = red;
        image[place++] = green;
        image[place++] = blue;
      }
    }
  }
  return image;
}

// What the nets see of a square (x, y, side): side x side pixels, grey or RGB.
function cut(photo, [x, y, length], side, channels) {
  const reach = Math.ceil(length / side) + 1;
  const low = [Math.floor(x) - reach, Math.floor(y) - reach];
  const high = [Math.ceil(x + length) + reach, Math.ceil(y + length) + reach];
  const image = padded(photo, low, high, channels);
  const corner = [x - low[0], y - low[1]];
  const box = [corner[0], corner[1], corner[0] + length, corner[1] + length];
  return resampled(image, [high[0] - low[0], high[1] - low[1]], channels, box, [side, side]);
}
