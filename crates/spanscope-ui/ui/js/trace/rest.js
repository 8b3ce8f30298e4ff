/** The modules that the waterfall loads after its rows. */
export * as marks from "./marks.js";
export { Moves } from "./moves.js";
export { Pane } from "./side.js";
export { Tools } from "./tools.js";
