// In which column of the heat map a run stands: those of one day, hour, week or month stand above each other, so that
// what is behind, or missing in between, is seen as a gap.
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

// The number of a partition among those of its grain, each one more than the one before it.
const NUMBERS = {
  hourly: (key) => Date.parse(key.replace("Z", ":00Z")) / HOUR,
  daily: (key) => Date.parse(key) / DAY,
  weekly: (key) => {
    const [year, week] = key.split("-W").map(Number);
    const fourth = Date.UTC(year, 0, 4); // It lies in the first week, whatever its weekday.
    return Math.floor((fourth / DAY + 3) / 7) + week - 1;
  },
  monthly: (key) => {
    const [year, month] = key.split("-").map(Number);
    return year * 12 + month - 1;
  },
};
const NOW = {
  hourly: (now) => now / HOUR, daily: (now) => now / DAY, weekly: (now) => (now / DAY + 3) / 7,
  monthly: (now) => new Date(now).getUTCFullYear() * 12 + new Date(now).getUTCMonth(),
};

const numberOf = (row, run) => NUMBERS[row.grain]?.(run.partition ?? "");

// By grain, the newest partition of all pipelines that is not of the future: its column is the last one.
export function edges(rows, now) {
  const found = {};
  for (const row of rows) {
    for (const run of row.recent) {
      const number = numberOf(row, run);
      if (number <= NOW[row.grain]?.(now) && !(number <= found[row.grain])) found[row.grain] = number;
    }
  }
  return found;
}

// What stands in each of `count` columns: a run; null where there is none between others; undefined before the first.
// A pipeline that has been still for so long that little of it would be seen begins at the right by itself.
export function columns(row, count, edge) {
  const numbers = row.recent.map((run) => numberOf(row, run));
  const behind = edge - numbers[0];
  const aligned = behind >= 0 && behind < count / 2;
  const cells = Array(count).fill(undefined);
  row.recent.forEach((run, index) => {
    const ago = aligned ? edge - numbers[index] : index;
    if (ago < count) cells[count - 1 - ago] = run;
  });
  const first = cells.findIndex(Boolean);
  return { cells: cells.map((run, index) => (first >= 0 && index > first && !run ? null : run)), behind: aligned ? behind : 0 };
}
