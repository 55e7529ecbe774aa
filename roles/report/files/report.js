// Ages, and when the page was written, are told by the reader's clock: the file itself changes only with its data.
(function () {
  var relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  function age(then) {
    var days = Math.round((then - Date.now()) / 864e5), far = Math.abs(days);
    if (far < 14) { return relative.format(days, "day"); }
    if (far < 60) { return relative.format(Math.round(days / 7), "week"); }
    return far < 730 ? relative.format(Math.round(days / 30.44), "month") : relative.format(Math.round(days / 365.25), "year");
  }
  document.querySelectorAll("time + .age").forEach(function (place) {
    var then = Date.parse(place.previousElementSibling.dateTime);
    if (!isNaN(then)) { place.textContent = age(then); }
  });
  var written = new Date(document.lastModified);
  document.getElementById("written").textContent =
    "Last change of what is shown: " + written.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }) + ".";
})();
