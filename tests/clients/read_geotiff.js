// Read every raster of a GeoTIFF with geotiff.js, as a map in a browser does: `node read_geotiff.js FILE OUT`.
// OUT gets the pixels of all of them, one behind the other; their sizes are printed as JSON.
import { readFile, writeFile } from "node:fs/promises";
import { fromArrayBuffer } from "geotiff";

const [path, out] = process.argv.slice(2);
const content = await readFile(path);
const tiff = await fromArrayBuffer(content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength));
const sizes = [];
const pixels = [];
for (let number = 0; number < (await tiff.getImageCount()); number += 1) {
  const image = await tiff.getImage(number);
  const [band] = await image.readRasters();
  sizes.push([image.getHeight(), image.getWidth()]);
  pixels.push(Buffer.from(band.buffer, band.byteOffset, band.byteLength));
}
await writeFile(out, Buffer.concat(pixels));
console.log(JSON.stringify(sizes));
