// The benches, by the letter of their paper.
import { PanelK } from "./panel_k.js";
import { PanelM } from "./panel_m.js";

export const PANELS = { K: PanelK, M: PanelM };
