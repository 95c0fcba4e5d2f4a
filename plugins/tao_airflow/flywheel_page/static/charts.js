// Draws the page's charts with Chart.js. Each stands beside its own sentence and table, which are there without it.
const Chart = window.Chart;
const BAND_ALPHA = "38";

const FORMATS = {
  percent: (value) => `${(100 * value).toFixed(1)} %`,
  decimal: (value) => value.toFixed(3),
  count: (value) => new Intl.NumberFormat("en", { maximumFractionDigits: 1 }).format(value),
  figure: (value) => Number(value.toPrecision(4)).toString(),
};
const TICKS = {
  percent: (value) => `${Math.round(100 * value)} %`,
  decimal: (value) => Number(value.toPrecision(3)).toString(),
  count: (value) => new Intl.NumberFormat("en", { notation: "compact" }).format(value),
  figure: (value) => Number(value.toPrecision(3)).toString(),
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const series = (number) => colour(`series-${(number % 3) + 1}`);

/** The 95 % interval of each point, as a line through it. */
const whiskers = {
  id: "whiskers",
  beforeDatasetsDraw(chart) {
    const { ctx, scales } = chart;
    chart.data.datasets.forEach((dataset) => {
      if (!dataset.whiskers) return;
      ctx.save();
      ctx.strokeStyle = dataset.borderColor;
      ctx.lineWidth = 1.5;
      for (const point of dataset.data) {
        if (point.low === null || point.high === null) continue;
        const x = scales.x.getPixelForValue(point.x);
        ctx.beginPath();
        ctx.moveTo(x, scales.y.getPixelForValue(point.low));
        ctx.lineTo(x, scales.y.getPixelForValue(point.high));
        ctx.stroke();
      }
      ctx.restore();
    });
  },
};

function lines(drawn) {
  const single = drawn.labels.length === 1;
  const datasets = [];
  drawn.series.forEach((each, number) => {
    const borderColor = series(number);
    const marks = each.marks ?? [];
    if (each.low) {
      const band = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, helper: true, backgroundColor: borderColor + BAND_ALPHA };
      datasets.push({ ...band, label: `${each.label}, low`, data: each.low, fill: false });
      datasets.push({ ...band, label: `${each.label}, 95 % interval`, data: each.high, fill: "-1" });
    }
    datasets.push({
      label: each.label,
      data: each.values,
      marks,
      low: each.low,
      high: each.high,
      borderColor,
      backgroundColor: borderColor,
      borderWidth: 2,
      borderDash: each.dash ? [6, 4] : [],
      pointStyle: each.values.map((_, at) => (marks[at] ? "triangle" : "circle")),
      pointRadius: each.values.map((_, at) => (marks[at] ? 7 : single ? 4 : each.values.length > 40 || each.dash ? 0 : 3)),
      pointHoverRadius: 6,
      spanGaps: true,
    });
    if (each.marks) {
      datasets.push({
        label: drawn.mark,
        data: [],
        legendOnly: true,
        borderColor,
        backgroundColor: borderColor,
        pointStyle: "triangle",
      });
    }
  });
  return { type: "line", data: { labels: drawn.labels, datasets } };
}

function bars(drawn) {
  const datasets = drawn.series.map((each, number) => ({
    label: each.label,
    data: each.values,
    backgroundColor: series(number),
    stack: drawn.stacked ? "all" : each.label,
    maxBarThickness: drawn.touching ? undefined : 40,
    ...(drawn.touching && { barPercentage: 1, categoryPercentage: 0.96 }),
  }));
  return { type: "bar", data: { labels: drawn.labels, datasets } };
}

function curve(drawn) {
  const borderColor = series(0);
  const data = drawn.steps.map((x, at) => ({ x, y: drawn.values[at] }));
  const pointRadius = data.length > 40 ? 0 : 2;
  const dataset = { label: "Value", data, borderColor, backgroundColor: borderColor, borderWidth: 2, pointRadius };
  return { type: "line", data: { datasets: [dataset] } };
}

function reliability(drawn) {
  const borderColor = series(0);
  const observed = { label: "Observed, with its 95 % interval", data: drawn.points, borderColor, backgroundColor: borderColor, showLine: true };
  const perfect = { label: "As promised", data: [{ x: 0, y: 0 }, { x: 1, y: 1 }], borderColor: colour("border-strong") };
  return {
    type: "scatter",
    data: {
      datasets: [
        { ...observed, borderWidth: 2, pointRadius: 4, whiskers: true },
        { ...perfect, backgroundColor: perfect.borderColor, showLine: true, borderDash: [6, 4], borderWidth: 1.5, pointRadius: 0, pointHitRadius: 0 },
      ],
    },
  };
}

const KINDS = { lines, bars, curve, reliability };

function axes(drawn) {
  const numeric = drawn.kind === "curve" || drawn.kind === "reliability";
  const format = drawn.format ?? (drawn.kind === "reliability" ? "percent" : "figure");
  const muted = colour("fg-muted");
  const title = (text) => ({ display: Boolean(text), text, color: muted });
  const grid = { color: colour("grid") };
  const unit = drawn.kind === "reliability" ? { min: 0, max: 1 } : {};
  const tick = (value) => TICKS[format](value);
  return {
    x: {
      ...(numeric && { type: "linear" }),
      ...unit,
      stacked: Boolean(drawn.stacked),
      grid: { display: numeric, ...grid },
      border: { color: colour("border") },
      title: title(drawn.x),
      ticks: { color: muted, maxRotation: 0, autoSkipPadding: 16, ...(drawn.kind === "reliability" && { callback: tick }) },
    },
    y: {
      ...unit,
      ...(drawn.from !== undefined ? { min: drawn.from } : { grace: "5%" }),
      ...(drawn.to !== undefined && { max: drawn.to }),
      ...(drawn.kind === "bars" && { beginAtZero: true }),
      stacked: Boolean(drawn.stacked),
      grid,
      border: { display: false },
      title: title(drawn.y),
      ticks: { color: muted, maxTicksLimit: 6, callback: tick },
    },
  };
}

function sentence(drawn, item) {
  const { dataset, dataIndex: at } = item;
  const write = FORMATS[drawn.format ?? (drawn.kind === "reliability" ? "percent" : "figure")];
  const point = dataset.data[at];
  const [value, low, high] = dataset.whiskers
    ? [point.y, point.low, point.high]
    : [item.parsed.y, dataset.low?.[at] ?? null, dataset.high?.[at] ?? null];
  const interval = low === null || high === null ? "" : ` [${write(low)}, ${write(high)}]`;
  const mark = dataset.marks?.[at] ? `, ${drawn.mark}` : "";
  return ` ${dataset.label}: ${write(value)}${interval}${mark}`;
}

function options(drawn) {
  const shown = (label) => !label.hidden;
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: drawn.kind === "reliability" ? "nearest" : "index", intersect: false },
    scales: axes(drawn),
    plugins: {
      legend: {
        display: drawn.kind !== "curve" && (drawn.kind === "reliability" || drawn.series.length > 1 || Boolean(drawn.mark)),
        position: "bottom",
        onClick: null,
        labels: {
          color: colour("fg"),
          usePointStyle: true,
          pointStyleWidth: 18,
          boxHeight: 7,
          filter: (label, data) => shown(label) && !data.datasets[label.datasetIndex].label.endsWith(", low"),
          generateLabels: (chart) => Chart.defaults.plugins.legend.labels.generateLabels(chart).map((label) => symbol(chart, label)),
        },
      },
      tooltip: {
        filter: (item) => !item.dataset.helper && item.raw !== null,
        callbacks: { label: (item) => sentence(drawn, item), ...(drawn.kind === "reliability" && { title: () => "" }) },
      },
    },
  };
}

/** In the legend a line is a line, a band a patch, and a mark its own shape. */
function symbol(chart, label) {
  const dataset = chart.data.datasets[label.datasetIndex];
  const line = chart.config.type !== "bar" && !dataset.helper && !dataset.legendOnly;
  const pointStyle = dataset.legendOnly ? "triangle" : line ? "line" : "rect";
  return { ...label, pointStyle, lineWidth: line ? 2 : 0, lineDash: dataset.borderDash ?? [] };
}

function draw(figure) {
  const drawn = JSON.parse(figure.querySelector("script.chart").textContent);
  const config = KINDS[drawn.kind](drawn);
  return new Chart(figure.querySelector("canvas"), { ...config, options: options(drawn), plugins: [whiskers] });
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 12;

const drawnCharts = new Map();
const redraw = (figure) => {
  drawnCharts.get(figure)?.destroy();
  drawnCharts.set(figure, draw(figure));
};
document.querySelectorAll("figure:has(canvas)").forEach(redraw);

const recolour = () => [...drawnCharts.keys()].forEach(redraw);
document.addEventListener("theme", recolour);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
