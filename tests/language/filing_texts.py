# ruff: noqa: ISC004, RUF001 -- marks as they are printed
"""Invented filings in the styles that companies file in."""

RISK = (
    "Our business depends on one supplier of castings.",
    "A fire at its plant could harm our results.",
    "We face intense competition in every market that we serve.",
)
RISK_NEW = "We are subject to an investigation that could result in a material loss."
TALK = (
    "Net sales rose 11% to $4.2 million from $3.8 million a year before.",
    "Gross margin improved because freight costs fell.",
    "We expect net sales to grow in the next quarters.",
)
MARKET = "A change of interest rates by one point would cost us some 200 thousand dollars a year."
BUSINESS = "We make clamps and sell them to builders in nine countries through our own stores."

MODERN = "\n".join(
    (
        "UNITED STATES SECURITIES AND EXCHANGE COMMISSION",
        "FORM 10-K",
        "TABLE OF CONTENTS",
        "PART I",
        "Item 1. Business 3",
        "Item 1A. Risk Factors 9",
        "Item 1B. Unresolved Staff Comments 17",
        "Item 7. Management’s Discussion and Analysis of Financial Condition and Results of Operations 21",
        "Item 7A. Quantitative and Qualitative Disclosures About Market Risk 30",
        "Item 8. Financial Statements and Supplementary Data 31",
        "Item 16. Form 10-K Summary 60",
        "This report contains forward-looking statements; see Item 1A. Risk Factors below for what could go wrong.",
        "PART I",
        "Item 1. Business",
        BUSINESS,
        "Harlow Tools | 2023 Form 10-K | 4",
        "Item 1A. Risk Factors",
        *RISK[:2],
        "Harlow Tools | 2023 Form 10-K | 9",
        "Item 1A. Risk Factors (continued)",
        RISK[2],
        "Harlow Tools | 2023 Form 10-K | 10",
        "Item 1B. Unresolved Staff Comments",
        "None.",
        "PART II",
        "Item 7. Management’s Discussion and Analysis of Financial Condition and Results of Operations",
        TALK[0],
        "Net sales $ 4,200 $ 3,800 11 %",
        "Item 1A of this report describes risks that could change what follows.",
        *TALK[1:],
        "Harlow Tools | 2023 Form 10-K | 22",
        "Item 7A. Quantitative and Qualitative Disclosures About Market Risk",
        MARKET,
        "23",
        "Item 8. Financial Statements and Supplementary Data",
        "The statements of the group begin on the next page of this annual report.",
        "SIGNATURES",
        "Pursuant to the requirements of the Act, the registrant has caused this report to be signed.",
    )
)
"""A line a paragraph, with a table of contents, running heads, a reference at a paragraph's begin, a table's row."""

CAPITALS = "\n".join(
    (
        "PART I",
        "ITEM 1.BUSINESS",
        BUSINESS,
        "ITEM 1A.",
        "RISK FACTORS",
        *RISK,
        "ITEM 2 – PROPERTIES",
        "We own one plant with forty thousand square feet.",
        "ITEM 7 — MANAGEMENT'S DISCUSSION AND ANALYSIS OF RESULTS OF OPERATIONS AND FINANCIAL CONDITION",
        *TALK,
        "ITEM 7A — QUANTITATIVE AND QUALITATIVE DISCLOSURES ABOUT MARKET RISK",
        "Not applicable.",
        "ITEM 8 — FINANCIAL STATEMENTS",
        "The statements of the group begin on the next page of this annual report.",
    )
)
"""Capitals, no table of contents, a title in the line after its number, an item of which nothing is told."""

TYPED = f"""ANNUAL REPORT

                      TABLE OF CONTENTS
Item 1.   Business ............................ 1
Item 1A.  Risk Factors ........................ 4
Item 7.   Management's Discussion and Analysis
          of Financial Condition .............. 9

Item 1.  Business

We make clamps and sell them to builders in nine
countries through our own stores.

Item 1A. Risk Factors. {RISK[0]}
A fire at its plant could
harm our results.

{RISK[2]} See
Item 7, Management's Discussion, for figures.

Item 7.  Management's Discussion and Analysis of Financial
Condition and Results of Operations

{TALK[0]}

{TALK[1]}
{TALK[2]}

Item 8.  Financial Statements

The statements of the group begin on the next page of this report.
"""
"""A typewriter's lines, as before HTML; the text begins in the line of a heading."""

QUARTER = "\n".join(
    (
        "INDEX",
        "Part I. Financial Information",
        "Item 1. Financial Statements (Unaudited) 3",
        "Item 2. Management's Discussion and Analysis of Financial Condition and Results of Operations 10",
        "Part II. Other Information",
        "Item 1. Legal Proceedings 20",
        "Item 1A. Risk Factors 20",
        "Item 6. Exhibits 21",
        "PART I. FINANCIAL INFORMATION",
        "Item 1. Condensed Consolidated Financial Statements",
        "The notes are a part of these condensed statements.",
        "Item 2. Management's Discussion and Analysis of Financial Condition and Results of Operations",
        *TALK,
        "Item 3. Quantitative and Qualitative Disclosures About Market Risk",
        MARKET,
        "Item 4. Controls and Procedures",
        "Our controls were effective at the end of the quarter.",
        "PART II. OTHER INFORMATION",
        "Item 1. Legal Proceedings",
        "We are party to no suit of any size today.",
        "Item 1A. Risk Factors",
        "There have been no material changes to the risk factors in our annual report.",
        "Item 6. Exhibits",
        "31.1 Certification of the chief executive officer",
        "SIGNATURE",
    )
)

CURRENT = "\n".join(
    (
        "FORM 8-K",
        "Item 2.02 Results of Operations and Financial Condition.",
        "On May 4, Harlow Tools announced results for the quarter; net sales rose and profit beat estimates.",
        "Item 2.02 of this report and its exhibit shall not be deemed filed.",
        "Item 5.02. Departure of Directors or Certain Officers; Election of Directors. On May 3, the chief financial "
        "officer resigned with immediate effect.",
        "Item 9.01 Financial Statements and Exhibits",
        "99.1 Press release",
        "SIGNATURES",
        "Pursuant to the requirements of the Act, the registrant has caused this report to be signed.",
    )
)

UNNUMBERED = "\n".join(
    (
        "BUSINESS",
        BUSINESS,
        "RISK FACTORS",
        *RISK,
        "LEGAL PROCEEDINGS",
        "We are party to no suit of any size today.",
        "MANAGEMENT’S DISCUSSION AND ANALYSIS",
        *TALK,
        "CONTROLS AND PROCEDURES",
        "Our controls were effective at the end of the year.",
    )
)
"""Titles without numbers of items."""
