// The benches, by the letter of their paper.
import { PanelE } from "./panel_e.js";
import { PanelJ } from "./panel_j.js";
import { PanelK } from "./panel_k.js";
import { PanelM } from "./panel_m.js";

export const PANELS = { K: PanelK, M: PanelM, E: PanelE, J: PanelJ };
