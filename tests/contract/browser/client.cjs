// Opens the page of the API in a browser, sends the example event from it as a person would, and says
// what the page shows.
"use strict";

const puppeteer = require("puppeteer-core");

const [page_url, access_token, browser_path] = process.argv.slice(2);

async function main() {
  const browser = await puppeteer.launch({
    executablePath: browser_path,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    await page.setViewport({ width: 1400, height: 1000 });
    const seen = { requests: [], refused: [], answer: null, shown: null };
    page.on("request", (request) => seen.requests.push(request.url()));
    // What the page's own policy refuses is written to the console, and so is what fails.
    page.on("console", (line) => {
      if (line.type() === "error") seen.refused.push(line.text());
    });
    page.on("pageerror", (error) => seen.refused.push(String(error)));
    await page.goto(page_url, { waitUntil: "networkidle0" });

    await click(page, ".auth-wrapper .authorize");
    await page.waitForSelector(".auth-container input");
    await page.type(".auth-container input", access_token);
    await click(page, ".auth-btn-wrapper .authorize");
    await click(page, ".auth-btn-wrapper .btn-done");

    const operation = "[id$='-reportDeviceEvents']";
    await click(page, `${operation} .opblock-summary-control`);
    await page.waitForSelector(`${operation} .execute`);
    const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
    await click(page, `${operation} .execute`);
    const answer = await answered;
    seen.answer = { url: answer.url(), status: answer.status(), sent: answer.request().postData() };
    const shown = `${operation} .live-responses-table .response-col_status`;
    await page.waitForSelector(`${operation} .live-responses-table tbody .response-col_status`);
    seen.shown = await page.$$eval(shown, (cells) => cells.map((cell) => cell.textContent.trim()));
    console.log(JSON.stringify(seen));
  } finally {
    await browser.close();
  }
}

// By the page's own script: what lies half outside of the window is clicked, too.
async function click(page, selector) {
  await page.waitForSelector(selector);
  await page.$eval(selector, (element) => element.click());
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
