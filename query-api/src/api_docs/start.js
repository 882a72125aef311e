"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // A token stays on the page where it was typed, and goes nowhere else.
  persistAuthorization: false,
  validatorUrl: null,
  queryConfigEnabled: false,
});
